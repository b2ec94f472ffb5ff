-- Which users want plays sent to which accounts, and when these were last polled.
select
    wish.user_id,
    u.user_key,
    wish.service,
    linked.account,
    wish.wished_at,
    wish.since,
    poll.polled_at
from app.onward_wishes as wish
inner join app.users as u on u.user_id = wish.user_id
inner join app.linked_services as linked on linked.user_id = wish.user_id and linked.service = wish.service
left join ops.service_states as poll on poll.user_id = wish.user_id and poll.service = wish.service
where
    linked.paused_at is null
    and wish.user_id = coalesce(%(user_id)s, wish.user_id)
    and wish.service = coalesce(%(service)s, wish.service)
order by wish.user_id, wish.service
