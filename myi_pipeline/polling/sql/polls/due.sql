-- Who is due at turn_at and may be polled now. A future turn that is not an obstacle was set by a wrong clock: such a
-- user counts as waiting since the sign-in.
select
    u.user_id,
    u.user_key,
    coalesce(
        case when s.due_at <= %(turn_at)s then s.due_at end,
        least(c.authorised_at, %(turn_at)s)
    ) as due_at
from app.credentials as c
inner join app.users as u on u.user_id = c.user_id
left join ops.poll_states as s on s.user_id = c.user_id
where
    c.is_main
    and not exists (
        select from ops.poll_obstacles as obstacle
        where
            obstacle.user_id = u.user_id
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
order by due_at, u.user_id
