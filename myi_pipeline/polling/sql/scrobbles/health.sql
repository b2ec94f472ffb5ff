select
    u.user_key,
    linked.service,
    poll.polled_at,
    stretch.unread_since,
    coalesce(poll.failures, 0) as failures,
    poll.last_error as reason
from app.linked_services as linked
inner join app.users as u on u.user_id = linked.user_id
left join ops.service_states as poll on poll.user_id = linked.user_id and poll.service = linked.service
left join lateral (
    select min(s.opened_at) as unread_since
    from ops.service_stretches as s
    where s.user_id = linked.user_id and s.service = linked.service
) as stretch on true
where linked.paused_at is null
order by u.user_key, linked.service
