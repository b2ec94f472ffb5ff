select
    u.user_key,
    e.happened_at,
    e.from_state,
    e.to_state,
    e.open_until,
    e.kind,
    e.reason
from ops.circuit_events as e
inner join app.users as u on u.user_id = e.user_id
where e.user_id = coalesce(%(user_id)s, e.user_id)
order by e.event_id desc
limit %(limit)s
