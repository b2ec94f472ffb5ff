-- What stands before a user's next poll, as the role that serves people may see it.
select
    c.status,
    c.paused_at,
    c.scopes,
    polling.polled_at,
    polling.due_at,
    coalesce(polling.failures, 0) as failures,
    case
        when circuit.state = 'open' then circuit.open_until
        when circuit.state = 'half_open' then circuit.probe_at + %(longest_probe)s
    end as left_alone_until,
    block.blocked_until
from app.users as u
left join app.credentials as c on c.user_id = u.user_id
left join ops.polling_of(u.user_id) as polling on true
left join ops.circuits as circuit on circuit.user_id = u.user_id
left join ops.quota_blocks as block on block.client_id = c.client_id and block.bucket = 'polls'
where u.user_id = %(user_id)s
