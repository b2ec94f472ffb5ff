insert into ops.track_lookups (account_id, track_key, candidates, looked_up_at)
values (%(account_id)s, %(track_key)s, %(candidates)s, %(now)s)
on conflict (account_id, track_key) do update
set candidates = excluded.candidates, looked_up_at = excluded.looked_up_at
