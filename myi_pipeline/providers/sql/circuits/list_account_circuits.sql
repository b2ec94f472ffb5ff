select
    c.*,
    u.user_key,
    a.provider
from ops.account_circuits as c
inner join app.provider_accounts as a on a.account_id = c.account_id
inner join app.users as u on u.user_id = a.user_id
where
    a.state <> 'ended'
    and (
        c.state <> 'closed'
        or c.authorisation_failures + c.network_failures + c.unknown_failures > 0
    )
order by a.user_id, c.account_id
