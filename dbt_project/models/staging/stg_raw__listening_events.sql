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
    {{ event_id() }} as event_id
from {{ source('raw', 'listening_events') }}
