-- The newest first. What came back later is on the list again.
select
    changed.version_no,
    changed.place,
    changed.previous_seen_at,
    changed.seen_at,
    changed.kind,
    changed.content_id,
    coalesce(content.title, changed.title) as title,
    content.creator,
    exists (
        select from marts.fct_playlist_items as item
        where
            item.user_id = %(user_id)s
            and item.content_id = changed.content_id
            and item.playlist_id = %(playlist_id)s
    ) as is_there_again
from marts.fct_playlist_changes as changed
left join marts.dim_contents as content on content.content_id = changed.content_id
where
    changed.user_id = %(user_id)s
    and changed.playlist_id = %(playlist_id)s
    and changed.change = 'removed'
    and (
        changed.version_no < %(after_version_no)s
        or (changed.version_no = %(after_version_no)s and changed.place > %(after_place)s)
    )
order by changed.version_no desc, changed.place
limit %(limit)s
