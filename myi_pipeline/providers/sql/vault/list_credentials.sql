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
    c.warned_days,
    c.account_id,
    c.profile_id,
    c.names_asked_at,
    t.sealed as sealed_access,
    t.expires_at as access_expires_at,
    t.granted_at as access_granted_at
from app.credentials as c
inner join app.users as u on u.user_id = c.user_id
left join app.spotify_tokens as t on t.user_id = c.user_id
where c.user_id = coalesce(%(user_id)s, c.user_id)
order by c.user_id
