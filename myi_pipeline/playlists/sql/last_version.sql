select
    version_id,
    version_no,
    state,
    name,
    description,
    owner_id,
    owner_name,
    is_public,
    is_collaborative,
    items_key,
    items
from raw.playlist_versions
where playlist_id = %(playlist_id)s
order by version_no desc
limit 1
