select
    user_id,
    time_zone,
    valid_from,
    lead(valid_from, 1, 'infinity') over (partition by user_id order by valid_from) as valid_until
from {{ source('app', 'user_time_zones') }}
