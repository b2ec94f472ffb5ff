-- Linked accounts that are due at turn_at and may be polled now, longest waiting first.
select
    linked.user_id,
    u.user_key,
    linked.service,
    coalesce(case when poll.due_at <= %(turn_at)s then poll.due_at end, least(linked.linked_at, %(turn_at)s)) as due_at
from app.linked_services as linked
inner join app.users as u on u.user_id = linked.user_id
left join ops.service_states as poll on poll.user_id = linked.user_id and poll.service = linked.service
where
    not exists (
        select from ops.service_obstacles as obstacle
        where
            obstacle.user_id = linked.user_id
            and obstacle.service = linked.service
            and (
                (
                    obstacle.obstacle = any(%(firm)s)
                    and obstacle.stands_from <= %(now)s
                    and (obstacle.stands_until is null or obstacle.stands_until > %(now)s)
                )
                or (
                    obstacle.obstacle = 'not_due'
                    and obstacle.stands_from <= %(turn_at)s
                    and obstacle.stands_until > %(turn_at)s
                )
            )
    )
order by due_at, linked.user_id, linked.service
