insert into raw.playlist_items (
    playlist_id, items_key, position, kind, content_id, added_at, added_by, item_id, original, artists
)
select
    %(playlist_id)s,
    %(items_key)s,
    i.position,
    i.kind,
    i.content_id,
    i.added_at,
    i.added_by,
    i.item_id,
    i.original,
    i.artists
from jsonb_to_recordset(%(items)s) as i (
    position int, kind text, content_id int, added_at timestamptz, added_by text, item_id text, original jsonb,
    artists text[]
)
where not exists (
    select from raw.playlist_items as known
    where known.playlist_id = %(playlist_id)s and known.items_key = %(items_key)s
)
