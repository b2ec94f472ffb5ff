-- Users at random: per UTC day as many resolved events as raw ones, each once and in a play that there is, and as many
-- plays that are kept, hidden or deleted as events that stand for one. Days that are open in the ledger, or in a run that
-- has not closed, may differ.
with sampled as (
    select users.user_id
    from app.users as users
    where
        not exists (
            select from ops.changed_users as changed
            where changed.user_id = users.user_id and changed.scope = 'everything'
        )
        -- They have no plays in marts while nobody knows their days.
        and users.user_id not in (select user_id from ops.held_back_users)
    order by random()
    limit %(users)s
),

raw_days as (
    select event.user_id, (event.played_at at time zone 'UTC')::date as utc_day, count(*) as events
    from raw.listening_events as event
    inner join sampled on sampled.user_id = event.user_id
    group by 1, 2
),

resolved_days as (
    select
        resolved.user_id,
        (resolved.played_at at time zone 'UTC')::date as utc_day,
        count(*) as events,
        count(distinct resolved.event_id) as different,
        count(*) filter (where resolved.is_canonical) as plays,
        count(*) filter (where resolved.is_canonical <> (resolved.play_id = resolved.event_id)) as strays
    from intermediate.int_plays__resolved as resolved
    inner join sampled on sampled.user_id = resolved.user_id
    group by 1, 2
),

shown_days as (
    select play.user_id, (play.played_at at time zone 'UTC')::date as utc_day, count(*) as plays
    from (
        select user_id, coalesce(reported_at, played_at) as played_at from marts.fct_plays_stored
        union all
        select user_id, played_at from intermediate.int_plays__corrected where withheld = 'deleted'
    ) as play
    inner join sampled on sampled.user_id = play.user_id
    group by 1, 2
),

compared as (
    select
        coalesce(raw_days.events, 0) as events,
        raw_days.events is distinct from resolved_days.events
        or resolved_days.events is distinct from resolved_days.different
        or coalesce(resolved_days.plays, 0) <> coalesce(shown_days.plays, 0) as differs,
        coalesce(resolved_days.strays, 0) as strays
    from raw_days
    full join resolved_days
        on resolved_days.user_id = raw_days.user_id and resolved_days.utc_day = raw_days.utc_day
    full join shown_days
        on
            shown_days.user_id = coalesce(raw_days.user_id, resolved_days.user_id)
            and shown_days.utc_day = coalesce(raw_days.utc_day, resolved_days.utc_day)
    where
        not exists (
            select from ops.changed_days as changed
            where
                changed.user_id = coalesce(raw_days.user_id, resolved_days.user_id, shown_days.user_id)
                and changed.utc_day = coalesce(raw_days.utc_day, resolved_days.utc_day, shown_days.utc_day)
        )
        and not exists (
            select from ops.mart_run_days as open_day
            where
                open_day.user_id = coalesce(raw_days.user_id, resolved_days.user_id, shown_days.user_id)
                and open_day.utc_day = coalesce(raw_days.utc_day, resolved_days.utc_day, shown_days.utc_day)
        )
)

select
    (select count(*) from sampled),
    coalesce(sum(events), 0)::bigint,
    count(*) filter (where differs),
    coalesce(sum(strays), 0)::bigint
from compared
