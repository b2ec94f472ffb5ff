select
    album_id,
    artist_id,
    name,
    uri,
    total_tracks,
    release_year
from {{ source('raw', 'albums') }}
