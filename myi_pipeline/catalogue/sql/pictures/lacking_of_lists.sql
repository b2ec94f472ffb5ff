-- Addresses of playlists' current pictures that MYI does not have, the newest first.
select latest.image_url
from raw.playlists as p
cross join lateral (
    select
        v.image_url,
        v.state,
        v.seen_at
    from raw.playlist_versions as v
    where v.playlist_id = p.playlist_id
    order by v.version_no desc
    limit 1
) as latest
left join raw.kept_pictures as k on k.url = latest.image_url
left join ops.picture_fetches as f on f.url = latest.image_url
where
    latest.state <> 'gone'
    and latest.image_url like 'https://i.scdn.co/image/%%'
    and k.url is null
    and (f.url is null or (f.state = 'waiting' and f.due_at <= %(now)s and coalesce(f.leased_until <= %(now)s, true)))
group by latest.image_url
order by max(latest.seen_at) desc
limit %(most)s
