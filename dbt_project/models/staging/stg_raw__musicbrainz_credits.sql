select
    recording_mbid,
    place,
    artist_mbid,
    credited_as,
    join_phrase
from {{ source('raw', 'musicbrainz_credits') }}
