select
    listed.playlist_id,
    listed.name,
    listed.description,
    listed.provider,
    listed.account_id,
    listed.provider = 'file' and starts_with(listed.provider_playlist, '/') as is_made,
    listed.owner_id,
    listed.owner_name,
    listed.is_public,
    listed.is_collaborative,
    listed.is_liked_songs,
    listed.state,
    listed.items,
    listed.versions,
    listed.first_seen_at,
    listed.last_changed_at,
    listed.deleted_at,
    listed.url
from marts.dim_playlists as listed
where
    listed.user_id = %(user_id)s
    and listed.playlist_id < %(after_playlist_id)s
order by listed.playlist_id desc
limit %(limit)s
