select
    artist_id,
    name,
    uri
from {{ source('raw', 'artists') }}
