select
    span_id,
    user_id,
    polled_from,
    polled_to
from {{ source('raw', 'polled_spans') }}
