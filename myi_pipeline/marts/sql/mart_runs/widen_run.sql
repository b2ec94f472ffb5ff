-- Every day with a polled play or a scrobble of a changed content that another source may also know: the marts list
-- such a play under the other source's content, so expand_run does not find it.
insert into ops.mart_run_days (run_id, user_id, utc_day)
select %(run_id)s::bigint, p.user_id, (p.played_at at time zone 'UTC')::date
from ops.mart_run_contents as r
cross join lateral (
    select user_id, played_at from intermediate.int_plays__candidates where content_id = r.content_id
    offset 0
) as p
where r.run_id = %(run_id)s
group by 2, 3
on conflict do nothing;

-- The days whose polled plays and scrobbles are matched again: those near a day of the run, where matching may have
-- shifted along a series of plays (two days for polls, three for scrobbles: see macros/reach.sql), and those near a
-- play that an archive of the run's days reports at a later sync. As in raw, and as the previous run matched them.
insert into ops.mart_run_api_days (run_id, user_id, utc_day)
with spans as materialized (
    select
        user_id,
        min(utc_day)::timestamp at time zone 'UTC' as span_start,
        (max(utc_day) + 1)::timestamp at time zone 'UTC' as span_end
    from (
        select
            user_id,
            utc_day,
            count(*) filter (where opens) over (partition by user_id order by utc_day) as span
        from (
            select user_id, utc_day, utc_day - lag(utc_day) over (partition by user_id order by utc_day) > 5 as opens
            from ops.mart_run_days
            where run_id = %(run_id)s
        ) as stepped
    ) as numbered
    group by user_id, span
),

synced as materialized (
    select spans.user_id, event.offline_timestamp as heard_at
    from spans
    cross join lateral (
        select offline_timestamp
        from raw.listening_events
        where
            user_id = spans.user_id
            and played_at >= spans.span_start
            and played_at < spans.span_end
            and offline
            and played_at - offline_timestamp > interval '45 minutes'
            and played_at - offline_timestamp < interval '31 days'
        offset 0
    ) as event
    union
    select spans.user_id, candidate.played_at
    from spans
    cross join lateral (
        select played_at
        from intermediate.int_plays__candidates
        where
            user_id = spans.user_id
            and play_played_at >= spans.span_start
            and play_played_at < spans.span_end
            and played_at < spans.span_start - interval '3 hours'
        offset 0
    ) as candidate
),

centres as materialized (
    select user_id, span_start - interval '48 hours' as span_start, span_end + interval '48 hours' as span_end
    from spans
    union
    select
        user_id,
        (heard_at at time zone 'UTC')::date::timestamp at time zone 'UTC' - interval '24 hours',
        (heard_at at time zone 'UTC')::date::timestamp at time zone 'UTC' + interval '72 hours'
    from synced
),

near as materialized (
    select
        centres.user_id,
        centres.span_start - reach.further as span_start,
        centres.span_end + reach.further as span_end,
        reach.source_ids
    from centres
    cross join (
        select
            case clock when 'start' then interval '48 hours' else interval '0' end as further,
            array_agg(source_id) as source_ids
        from raw.sources
        where clock <> 'end'
        group by 1
    ) as reach
)

select %(run_id)s::bigint, near.user_id, (polled.played_at at time zone 'UTC')::date
from near
cross join lateral (
    select played_at
    from raw.listening_events
    where
        user_id = near.user_id
        and played_at >= near.span_start
        and played_at < near.span_end
        and source_id = any(near.source_ids)
    union all
    select played_at
    from intermediate.int_plays__candidates
    where
        user_id = near.user_id
        and played_at >= near.span_start
        and played_at < near.span_end
        and source_id = any(near.source_ids)
    offset 0
) as polled
group by 2, 3
on conflict do nothing;
