-- Statistics first: those of the last run's slices would mislead the planner. Lateral with offset 0, so that plays are
-- found by index whatever it estimates.
select ops.analyze_mart_run();

-- Every day of users all of whose plays move: as in raw, and as still in the marts. A play is computed with the day
-- that its source reports, wherever a correction puts it.
insert into ops.mart_run_days (run_id, user_id, utc_day)
with moved as materialized (
    select distinct c.user_id
    from ops.mart_run_changes as f
    inner join ops.changed_users as c on c.change_id = f.change_id
    where f.run_id = %(run_id)s and f.ledger = 'users' and c.scope = 'everything'
)
select %(run_id)s::bigint, e.user_id, (e.played_at at time zone 'UTC')::date
from moved
cross join lateral (
    select user_id, played_at from raw.listening_events where user_id = moved.user_id offset 0
) as e
union
select %(run_id)s::bigint, p.user_id, (p.played_at at time zone 'UTC')::date
from moved
cross join lateral (
    select user_id, coalesce(reported_at, played_at) as played_at
    from marts.fct_plays_stored
    where user_id = moved.user_id
    offset 0
) as p
on conflict do nothing;

-- Every day with a play of a changed content, even if another event of the play named it, or a correction has removed
-- it.
insert into ops.mart_run_days (run_id, user_id, utc_day)
select %(run_id)s::bigint, p.user_id, (p.played_at at time zone 'UTC')::date
from ops.mart_run_contents as r
cross join lateral (
    select user_id, coalesce(reported_at, played_at) as played_at
    from marts.fct_plays_stored
    where content_id = r.content_id
    union all
    select user_id, played_at from intermediate.int_plays__corrected where content_id = r.content_id
    union all
    select user_id, played_at from intermediate.int_plays__matched where content_id = r.content_id
    union all
    select user_id, played_at from intermediate.int_plays__polled_again where content_id = r.content_id
    offset 0
) as p
where r.run_id = %(run_id)s
group by 2, 3
on conflict do nothing;

-- And every day whose top lists contain one.
insert into ops.mart_run_days (run_id, user_id, utc_day)
select distinct %(run_id)s::bigint, t.user_id, t.taken_on
from ops.mart_run_contents as r
cross join lateral (
    select user_id, taken_on from raw.top_items where content_id = r.content_id offset 0
) as t
where r.run_id = %(run_id)s
on conflict do nothing;
