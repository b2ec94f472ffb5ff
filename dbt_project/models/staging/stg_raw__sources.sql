select
    source_id,
    source,
    rank,
    arrives,
    clock,
    precision_ms,
    reports_counted
from {{ source('raw', 'sources') }}
