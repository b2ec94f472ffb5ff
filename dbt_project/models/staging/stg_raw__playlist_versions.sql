select
    playlist_id,
    version_no,
    seen_at,
    state,
    name,
    description,
    owner_id,
    owner_name,
    is_public,
    is_collaborative,
    image_url,
    url,
    items_key,
    items
from {{ source('raw', 'playlist_versions') }}
