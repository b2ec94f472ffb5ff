select
    items.playlist_id,
    items.items_key,
    items.position,
    items.kind,
    items.content_id,
    coalesce(aliases.canonical_id, items.content_id) as canonical_id,
    items.added_at,
    items.added_by,
    items.item_id,
    items.original ->> 'title' as title,
    items.original -> 'artists' ->> 0 as artist,
    -- What makes an entry the same in two lists: the service's own id for it, else what it names.
    coalesce('i' || items.item_id, 'c' || items.content_id, items.kind || coalesce(items.original::text, '')) as entry
from {{ source('raw', 'playlist_items') }} as items
left join {{ source('raw', 'content_aliases') }} as aliases on aliases.content_id = items.content_id
