select
    c.provider_account_id,
    c.is_main,
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
    c.warned_days,
    c.account_id,
    c.profile_id,
    c.names_asked_at,
    c.access_token as sealed_access,
    c.access_expires_at,
    c.access_granted_at
from app.credentials as c
inner join app.users as u on u.user_id = c.user_id
where
    (%(user_id)s::int is null or c.user_id = %(user_id)s)
    and (%(account)s::int is null or c.provider_account_id = %(account)s)
    and (c.is_main or not %(main_only)s)
order by c.user_id, c.is_main desc, c.provider_account_id
