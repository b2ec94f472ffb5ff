with leased as (
    update ops.musicbrainz_queue as q
    set lease_id = gen_random_uuid(), leased_until = %(until)s
    where q.entry_id = any(%(entries)s::bigint[])
    returning q.entry_id, q.content_id, q.artist_mbid, q.plays, q.failures, q.lease_id
)

select
    leased.entry_id,
    leased.content_id,
    leased.artist_mbid,
    leased.plays,
    leased.failures,
    leased.lease_id,
    c.isrc,
    c.recording_mbid,
    c.title,
    coalesce(a.name, c.creator) as artist,
    c.collection as album,
    c.duration_ms as length_ms,
    md5(
        concat_ws('|', c.isrc, c.recording_mbid, c.duration_ms, c.title, coalesce(a.name, c.creator))
    )::uuid as asked_with
from leased
left join raw.contents as c on c.content_id = leased.content_id
left join raw.artists as a on a.artist_id = c.artist_id
order by leased.entry_id
