select
    i.playlist_id as playlist,
    i.items_key as entries,
    i.position,
    i.kind,
    c.content_key as content,
    i.added_at,
    i.added_by,
    i.item_id,
    i.original,
    i.artists
from raw.playlists as p
inner join raw.playlist_items as i on i.playlist_id = p.playlist_id
left join raw.contents as c on c.content_id = i.content_id
where p.user_id = %(user_id)s
order by i.playlist_id, i.items_key, i.position
