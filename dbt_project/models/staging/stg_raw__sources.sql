select
    source_id,
    source
from {{ source('raw', 'sources') }}
