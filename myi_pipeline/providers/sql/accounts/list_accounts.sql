select
    a.account_id,
    a.user_id,
    u.user_key,
    a.provider,
    a.provider_account,
    a.name,
    a.client_id,
    a.scopes,
    a.state,
    a.linked_at,
    a.paused_at,
    a.ended_at,
    exists (
        select from app.credentials as c
        where c.provider_account_id = a.account_id and c.is_main
    ) as is_main
from app.provider_accounts as a
inner join app.users as u on u.user_id = a.user_id
where
    a.user_id = coalesce(%(user_id)s, a.user_id)
    and a.account_id = coalesce(%(account_id)s, a.account_id)
    and (a.state <> 'ended' or %(with_ended)s)
order by a.user_id, a.account_id
