-- Sorted by the unique key: two loads of one user that insert the same plays in different orders would deadlock.
insert into raw.listening_events (
    user_id, source_id, batch_id, played_at, content_id, ms_played, occurrence,
    context_id, offline_timestamp, shuffle, skipped, offline, incognito
)
select
    %(user_id)s,
    x.source_id,
    %(batch_id)s,
    e.played_at,
    c.content_id,
    e.ms_played,
    coalesce(r.occurrence, 0),
    x.context_id,
    e.offline_timestamp,
    x.shuffle,
    x.skipped,
    x.offline,
    x.incognito
from {load}_events as e
inner join {load}_circumstance_ids as x on x.circumstance_no = e.circumstance_no
left join {load}_repeated_events as r on r.row_id = e.row_id
left join {load}_content_ids as c on c.content_no = e.content_no
where
    e.row_id between %(first_row)s and %(last_row)s
    and r.is_identical is not true
order by e.played_at, x.source_id, c.content_id, e.ms_played, r.occurrence
on conflict do nothing
