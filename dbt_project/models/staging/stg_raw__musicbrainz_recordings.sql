select
    recording_mbid,
    title,
    length_ms,
    first_release_date,
    first_release_year,
    release_mbid,
    release_name
from {{ source('raw', 'musicbrainz_recordings') }}
