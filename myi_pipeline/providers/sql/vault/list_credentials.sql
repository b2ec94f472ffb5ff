select
    c.user_id,
    u.user_key,
    c.client_id,
    c.account_key,
    c.refresh_token as sealed,
    c.key_id,
    c.scopes,
    c.status,
    c.paused_at,
    c.authorised_at,
    c.refreshed_at,
    c.refusals,
    c.last_error,
    c.last_failed_at,
    c.warned_days
from app.credentials as c
inner join app.users as u on u.user_id = c.user_id
where c.user_id = coalesce(%(user_id)s, c.user_id)
order by c.user_id
