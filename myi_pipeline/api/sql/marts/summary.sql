-- One pass over the user's days.
select
    span.name,
    span.first_day,
    span.last_day,
    coalesce(heard.days, 0)::int as days,
    coalesce(heard.plays, 0)::bigint as plays,
    coalesce(heard.counted_plays, 0)::bigint as counted_plays,
    coalesce(heard.ms_played, 0)::bigint as ms_played,
    coalesce(heard.unknown_plays, 0)::bigint as unknown_plays,
    heard.first_heard,
    heard.last_heard
from unnest(
    %(names)s::text [], %(first_days)s::date [], %(last_days)s::date []
) with ordinality as span (name, first_day, last_day, place)
left join lateral (
    select
        count(*) as days,
        sum(plays) as plays,
        sum(counted_plays) as counted_plays,
        sum(ms_played) as ms_played,
        sum(unknown_plays) as unknown_plays,
        min(local_date) as first_heard,
        max(local_date) as last_heard
    from marts.agg_day_user
    where user_id = %(user_id)s and local_date between span.first_day and span.last_day
) as heard on true
order by span.place
