select
    correction_id,
    user_id,
    action,
    event_id,
    event_at,
    from_at,
    until_at,
    artist_id,
    source_id,
    kind,
    shift_s,
    to_content_id
from {{ source('app', 'corrections') }}
where undone_at is null
