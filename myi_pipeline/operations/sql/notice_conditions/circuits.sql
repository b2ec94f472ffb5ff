-- Circuits, of polls and of accounts that playlists are read from, with whether they are closed; half open is being tried.
-- Nothing is asked for who is paused, has to sign in again or is unlinked.
select
    c.user_id,
    'spotify' as provider,
    null::int as account_id,
    c.opened_at,
    c.state = 'closed' as is_good
from ops.circuits as c
where
    c.state <> 'closed'
    or exists (
        select from app.credentials as l
        where l.user_id = c.user_id and l.is_main and l.status = 'active' and l.paused_at is null
    )
union all
select
    a.user_id,
    a.provider,
    a.account_id,
    c.opened_at,
    c.state = 'closed' as is_good
from ops.account_circuits as c
inner join app.provider_accounts as a on a.account_id = c.account_id
where a.state <> 'ended' and a.paused_at is null
