select distinct on (p.playlist_id)
    p.playlist_id,
    p.provider,
    p.account_id,
    p.account_id is null and starts_with(p.provider_playlist, '/') as is_made,
    a.name as account_name,
    v.name,
    v.owner_name,
    v.state,
    v.items,
    v.version_no as versions,
    p.first_seen_at,
    v.seen_at as changed_at
from raw.playlists as p
inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
left join app.provider_accounts as a on a.account_id = p.account_id
where p.user_id = %(user_id)s
order by p.playlist_id, v.version_no desc
