insert into ops.playlist_states as s (account_id, gathered_at, due_at, failures, last_error)
select account_id, %(gathered_at)s, %(due_at)s, %(failures)s, %(error)s
from app.provider_accounts
where account_id = %(account_id)s
on conflict (account_id) do update
    set
        gathered_at = coalesce(excluded.gathered_at, s.gathered_at),
        due_at = excluded.due_at,
        failures = excluded.failures,
        last_error = excluded.last_error
