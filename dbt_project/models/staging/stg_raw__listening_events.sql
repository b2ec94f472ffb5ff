select
    user_id,
    played_at,
    source_id,
    content_id,
    ms_played,
    occurrence,
    batch_id,
    context_id,
    offline_timestamp as offline_at,
    shuffle,
    skipped,
    offline,
    incognito,
    -- A digest of the raw key: the same after every rebuild. The types of the columns are part of it.
    hash_record_extended(row(user_id, source_id, played_at, content_id, ms_played, occurrence), 0) as event_id
from {{ source('raw', 'listening_events') }}
