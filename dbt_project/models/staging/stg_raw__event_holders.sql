select
    user_id,
    played_at,
    import_id,
    export_no,
    -- The same digest as of the event itself.
    hash_record_extended(row(user_id, source_id, played_at, content_id, ms_played, occurrence), 0) as event_id
from {{ source('raw', 'event_holders') }}
