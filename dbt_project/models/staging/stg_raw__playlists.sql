select
    playlist_id,
    user_id,
    account_id,
    provider,
    provider_playlist,
    first_seen_at
from {{ source('raw', 'playlists') }}
