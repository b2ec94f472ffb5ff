select
    user_id,
    played_at,
    import_id,
    export_no,
    -- The same digest as for the event itself.
    {{ event_id() }} as event_id
from {{ source('raw', 'event_holders') }}
