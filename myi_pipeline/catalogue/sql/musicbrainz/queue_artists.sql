-- The artists of a recording that was found. Those whose genres came along are marked as found; the others are queued
-- with the plays of their most played track.
insert into ops.musicbrainz_queue as q (artist_mbid, plays, due_at, state, answered_at)
select
    a.artist_mbid,
    %(plays)s,
    case when a.is_told then %(stale_at)s::timestamptz else %(now)s::timestamptz end,
    case when a.is_told then 'found' else 'waiting' end,
    case when a.is_told then %(now)s::timestamptz end
from jsonb_to_recordset(%(artists)s) as a (artist_mbid uuid, is_told boolean)
order by a.artist_mbid
on conflict (artist_mbid) do update
    set
        plays = greatest(q.plays, excluded.plays),
        state = case when excluded.state = 'found' then 'found' else q.state end,
        due_at = case when excluded.state = 'found' then excluded.due_at else q.due_at end,
        answered_at = coalesce(excluded.answered_at, q.answered_at),
        lease_id = case when excluded.state = 'found' then null else q.lease_id end,
        leased_until = case when excluded.state = 'found' then null else q.leased_until end
    where q.plays < excluded.plays or (excluded.state = 'found' and q.state <> 'found')
