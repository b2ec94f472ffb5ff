-- Recordings as the web service would describe them. For one on many samplers, the earliest releases are enough.
select
    r.id,
    r.gid,
    r.name,
    r.length,
    credited.credits,
    released.releases,
    coalesce(tagged.votes, '[]'::jsonb) as votes
from load.musicbrainz_recording as r
left join lateral (
    select
        jsonb_agg(
            jsonb_build_object(
                'artist_mbid', a.gid, 'name', a.name, 'credited_as', n.name, 'join_phrase', n.join_phrase, 'id', a.id
            ) order by n.position
        ) as credits
    from load.musicbrainz_artist_credit_name as n
    inner join load.musicbrainz_artist as a on a.id = n.artist
    where n.artist_credit = r.artist_credit
) as credited on true
left join lateral (
    select
        jsonb_agg(
            jsonb_build_object('mbid', e.gid, 'name', e.name, 'year', e.year, 'month', e.month, 'day', e.day)
            order by e.year, e.month, e.day, e.gid
        ) as releases
    from (
        select distinct
            l.gid,
            l.name,
            d.year,
            d.month,
            d.day
        from load.musicbrainz_track as t
        inner join load.musicbrainz_medium as m on m.id = t.medium
        inner join load.musicbrainz_release as l on l.id = m.release
        left join lateral (
            select
                x.year,
                x.month,
                x.day
            from load.musicbrainz_release_date as x
            where x.release = l.id and x.year is not null
            order by x.year, x.month, x.day
            limit 1
        ) as d on true
        where t.recording = r.id
        order by d.year, d.month, d.day, l.gid
        limit %(most)s
    ) as e
) as released on true
left join lateral (
    select jsonb_agg(jsonb_build_object('tag', g.name, 'votes', v.count)) as votes
    from load.musicbrainz_recording_tag as v
    inner join load.musicbrainz_tag as g on g.id = v.tag
    where v.recording = r.id
) as tagged on true
where r.id = any(%(ids)s)
