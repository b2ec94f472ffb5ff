with leased as (
    update ops.musicbrainz_queue as q
    set lease_id = gen_random_uuid(), leased_until = %(until)s
    from (
        select n.entry_id
        from ops.musicbrainz_queue as n
        where
            n.state = 'waiting' and n.due_at <= %(now)s
            and (n.leased_until is null or n.leased_until <= %(now)s)
        order by n.plays desc, n.entry_id
        limit 1
        for update skip locked
    ) as free
    where q.entry_id = free.entry_id
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
