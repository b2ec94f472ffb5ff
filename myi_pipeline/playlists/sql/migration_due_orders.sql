-- The orders that are due, the longest waiting first. If the account cannot be used, its orders wait for the owner.
select
    m.migration_id,
    m.user_id,
    m.target_account_id as account_id,
    m.ordered,
    m.attempts,
    m.cancel_asked_at is not null as is_being_cancelled
from app.migrations as m
inner join app.provider_accounts as a on a.account_id = m.target_account_id
where
    m.ordered is not null
    and m.migration_id = coalesce(%(migration_id)s, m.migration_id)
    and (
        m.cancel_asked_at is not null
        or (a.state = 'active' and a.paused_at is null and (m.due_at is null or m.due_at <= %(now)s))
    )
order by m.ordered_at, m.migration_id
