-- The recordings that each wanted track may be: by its code, its MBID, its names. If hundreds of recordings share a
-- name ("Intro"), only some are considered; whichever is chosen has the right length.
with wanted as (
    select *
    from jsonb_to_recordset(%(wanted)s) as w (entry_id bigint, isrc text, recording_mbid uuid, title text, artist text)
)

select
    w.entry_id,
    'isrc' as found_by,
    i.recording as recording_id
from wanted as w
inner join load.musicbrainz_isrc as i on i.isrc = w.isrc
union
select
    w.entry_id,
    'mbid',
    r.id
from wanted as w
inner join load.musicbrainz_recording as r on r.gid = w.recording_mbid
union
select
    w.entry_id,
    'mbid',
    d.new_id
from wanted as w
inner join load.musicbrainz_recording_gid_redirect as d on d.gid = w.recording_mbid
union
select
    w.entry_id,
    'names',
    named.id
from wanted as w
cross join lateral (
    select distinct r.id
    from load.musicbrainz_recording as r
    where
        r.folded = w.title
        and r.artist_credit in (select c.artist_credit from load.musicbrainz_credited as c where c.folded = w.artist)
    order by r.id
    limit %(most)s
) as named
