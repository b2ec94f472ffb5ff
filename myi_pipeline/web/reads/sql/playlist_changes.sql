select
    changed.version_no,
    changed.place,
    changed.change,
    changed.previous_seen_at,
    changed.seen_at,
    changed.kind,
    changed.content_id,
    coalesce(content.title, changed.title) as title,
    content.creator,
    changed.position_before,
    changed.position_after,
    changed.value_before,
    changed.value_after
from marts.fct_playlist_changes as changed
left join marts.dim_contents as content on content.content_id = changed.content_id
where
    changed.user_id = %(user_id)s
    and changed.playlist_id = %(playlist_id)s
    and (
        changed.version_no < %(after_version_no)s
        or (changed.version_no = %(after_version_no)s and changed.place > %(after_place)s)
    )
order by changed.version_no desc, changed.place
limit %(limit)s
