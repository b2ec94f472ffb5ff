select
    album_id,
    artist_id,
    name,
    uri
from {{ source('raw', 'albums') }}
