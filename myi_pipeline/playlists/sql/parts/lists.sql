select p.playlist_id as playlist, p.provider, a.provider_account as account, p.provider_playlist, p.first_seen_at
from raw.playlists as p
left join app.provider_accounts as a on a.account_id = p.account_id
where p.user_id = %(user_id)s
order by p.playlist_id
