select
    gap_id,
    user_id,
    gap_start,
    gap_end,
    reason
from {{ source('raw', 'poll_gaps') }}
