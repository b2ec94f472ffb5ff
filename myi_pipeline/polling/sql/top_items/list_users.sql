-- Everyone with a usable login: when they were last seen (a play in the last week, or a sign-in), and the state of
-- their top lists. Bounded in time, so that two or three partitions are read.
select
    c.user_id,
    u.user_key,
    c.scopes,
    greatest(c.authorised_at, play.played_at) as seen_at,
    t.refreshed_at,
    coalesce(t.failures, 0) as failures,
    t.retry_at,
    t.last_error
from app.credentials as c
inner join app.users as u on u.user_id = c.user_id
left join ops.top_refreshes as t on t.user_id = c.user_id
left join lateral (
    select e.played_at
    from raw.listening_events as e
    where e.user_id = c.user_id and e.played_at > %(since)s and e.played_at <= %(now)s
    order by e.played_at desc
    limit 1
) as play on true
where
    c.is_main
    and not exists (
        select from ops.poll_obstacles as obstacle
        where obstacle.user_id = c.user_id and obstacle.obstacle = any(%(obstacles)s)
    )
    and (%(user_ids)s::int [] is null or c.user_id = any(%(user_ids)s))
order by c.user_id
