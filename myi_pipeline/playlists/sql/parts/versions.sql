select
    v.playlist_id as playlist,
    v.version_no,
    v.seen_at,
    v.state,
    v.name,
    v.description,
    v.owner_id,
    v.owner_name,
    v.is_public,
    v.is_collaborative,
    v.provider_version,
    v.image_url,
    v.url,
    v.items_key as entries,
    v.items
from raw.playlists as p
inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
where p.user_id = %(user_id)s
order by v.playlist_id, v.version_no
