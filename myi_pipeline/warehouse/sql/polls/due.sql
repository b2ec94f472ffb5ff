-- Whose turn has come. A poll in the future, or a turn further ahead than any, was written by a clock that was wrong.
select
    u.user_id,
    u.user_key,
    case
        when s.due_at is null or s.due_at > %(latest)s or s.polled_at > %(wrong)s then least(c.authorised_at, %(now)s)
        else s.due_at
    end as due_at
from app.credentials as c
inner join app.users as u on u.user_id = c.user_id
left join ops.poll_states as s on s.user_id = c.user_id
left join ops.circuits as circuit on circuit.user_id = c.user_id
left join ops.quota_blocks as block on block.client_id = c.client_id and block.bucket = 'polls'
where
    c.status = 'active'
    and c.paused_at is null
    and %(scope)s = any(c.scopes)
    and (s.due_at is null or s.due_at <= %(now)s or s.due_at > %(latest)s or s.polled_at > %(wrong)s)
    and (
        circuit.state is null or circuit.state = 'closed'
        or (circuit.state = 'open' and circuit.open_until <= %(now)s)
        or (circuit.state = 'half_open' and circuit.probe_at + %(longest_probe)s <= %(now)s)
    )
    and (block.blocked_until is null or block.blocked_until <= %(now)s)
order by due_at, u.user_id
