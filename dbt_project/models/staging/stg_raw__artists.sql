select
    artist_id,
    name,
    uri,
    search_text
from {{ source('raw', 'artists') }}
