select
    span_id,
    user_id,
    import_id,
    source_id,
    kind,
    package_id,
    covered_from,
    covered_to
from {{ source('raw', 'covered_spans') }}
