select distinct on (p.playlist_id)
    p.playlist_id,
    p.provider_playlist,
    v.state,
    v.is_collaborative,
    r.provider_version as read_version,
    r.permission as read_permission,
    r.read_at
from raw.playlists as p
inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
left join ops.playlist_reads as r on r.playlist_id = p.playlist_id
where p.account_id = %(account_id)s
order by p.playlist_id, v.version_no desc
