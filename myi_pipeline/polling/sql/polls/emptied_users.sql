-- Signed-in users whose last page was empty although some plays were known.
select u.user_key
from ops.poll_states as poll
inner join app.users as u on u.user_id = poll.user_id
where
    poll.oldest_played_at is null
    and poll.newest_played_at is not null
    -- A page that is entirely dated ahead of now is not empty.
    and not exists (
        select from ops.polls as logged
        where logged.user_id = poll.user_id and logged.polled_at = poll.polled_at and logged.outcome = 'ahead'
    )
    and not exists (
        select from ops.poll_obstacles as obstacle
        where obstacle.user_id = poll.user_id and obstacle.obstacle = any(%(not_signed_in)s)
    )
order by u.user_key
