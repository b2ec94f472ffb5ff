select
    user_id,
    user_key,
    display_name,
    time_zone,
    created_at
from {{ source('app', 'users') }}
