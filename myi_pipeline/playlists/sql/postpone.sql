insert into ops.playlist_states (account_id, due_at)
select account_id, %(due_at)s
from app.provider_accounts
where account_id = %(account_id)s
on conflict (account_id) do update set due_at = excluded.due_at
