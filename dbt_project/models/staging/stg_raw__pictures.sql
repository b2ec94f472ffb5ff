select
    entity_kind,
    entity_id,
    place,
    url,
    width,
    height
from {{ source('raw', 'pictures') }}
