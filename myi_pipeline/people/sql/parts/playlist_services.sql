select a.provider, a.provider_account as account, a.name, a.state, a.linked_at, a.paused_at, a.ended_at
from app.provider_accounts as a
where a.user_id = %(user_id)s
order by a.account_id
