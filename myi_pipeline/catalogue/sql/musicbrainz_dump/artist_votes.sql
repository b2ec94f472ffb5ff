select
    a.gid,
    coalesce(jsonb_agg(jsonb_build_object('tag', g.name, 'votes', v.count)) filter (where g.id is not null), '[]') as votes
from load.musicbrainz_artist as a
left join load.musicbrainz_artist_tag as v on v.artist = a.id
left join load.musicbrainz_tag as g on g.id = v.tag
where a.gid = any(%(artists)s)
group by a.gid
