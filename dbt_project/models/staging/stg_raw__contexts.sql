select
    context_id,
    platform,
    conn_country as country,
    reason_start,
    reason_end
from {{ source('raw', 'contexts') }}
