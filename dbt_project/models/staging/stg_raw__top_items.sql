select
    user_id,
    taken_on as snapshot_date,
    taken_at as snapshot_at,
    entity_kind,
    term,
    rank,
    content_id,
    artist_id
from {{ source('raw', 'top_items') }}
