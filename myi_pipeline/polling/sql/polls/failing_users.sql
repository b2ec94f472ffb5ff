-- Signed-in users with at least this many consecutive failed polls.
select
    u.user_key,
    poll.failures,
    coalesce(poll.last_error, 'unknown') as reason
from ops.poll_states as poll
inner join app.users as u on u.user_id = poll.user_id
where
    poll.failures >= %(least)s
    and not exists (
        select from ops.poll_obstacles as obstacle
        where obstacle.user_id = poll.user_id and obstacle.obstacle = any(%(not_signed_in)s)
    )
order by poll.failures desc, u.user_key
