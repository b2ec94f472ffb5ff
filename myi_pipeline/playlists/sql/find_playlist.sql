select playlist_id
from raw.playlists
where
    user_id = %(user_id)s
    and account_id is not distinct from %(account_id)s
    and provider_playlist = %(provider_playlist)s
