select
    entity_kind,
    entity_mbid,
    tag_id,
    votes
from {{ source('raw', 'musicbrainz_votes') }}
