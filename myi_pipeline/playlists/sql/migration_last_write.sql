-- The last write to a list that was done or may have been, by any migration.
select
    w.outcome,
    w.length_after,
    w.digest_after,
    coalesce(w.settled_at, w.sent_at) as known_at
from app.migrations as m
inner join app.migration_writes as w on w.migration_id = m.migration_id
where
    m.target_account_id = %(account_id)s
    and m.target_playlist = %(playlist_id)s
    and w.outcome is distinct from 'not_done'
    and w.step ->> 'kind' <> 'create'
order by w.sent_at desc, w.migration_id desc, w.write_no desc
limit 1
