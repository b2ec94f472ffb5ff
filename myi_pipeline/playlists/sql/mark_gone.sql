insert into raw.playlist_versions (
    playlist_id, version_no, seen_at, state, name, description, owner_id, owner_name, is_public, is_collaborative,
    provider_version, image_url, url, items_key, items
)
select
    playlist_id,
    version_no + 1,
    %(now)s,
    'gone',
    name,
    description,
    owner_id,
    owner_name,
    is_public,
    is_collaborative,
    provider_version,
    image_url,
    url,
    items_key,
    items
from raw.playlist_versions
where playlist_id = %(playlist_id)s
order by version_no desc
limit 1
