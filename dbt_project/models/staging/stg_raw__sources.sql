select
    source_id,
    source,
    rank,
    arrives,
    clock,
    precision_ms,
    reports_counted,
    may_be_off_s
from {{ source('raw', 'sources') }}
