select
    tag_id,
    tag,
    is_genre
from {{ source('raw', 'musicbrainz_tags') }}
