select
    content_id,
    recording_mbid,
    found_by,
    found_at
from {{ source('raw', 'found_recordings') }}
