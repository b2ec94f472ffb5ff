-- One track, artist or album by month, by day of one year (the last in which it was heard, unless another is asked for), and
-- by hour of the week; all of some days, and the longest time without it. Its plays are read once.
with sums as materialized (
    -- Once through the plays for both. An hour of the week is one number, which is hashed faster than two columns; no play
    -- is older than 2000-01-03, a Monday.
    select
        local_date,
        hour_of_week,
        count(*)::int as plays,
        (count(*) filter (where is_counted))::int as counted_plays,
        coalesce(sum(ms_played), 0)::bigint as ms_played
    from (
        select
            play.local_date,
            (play.local_date - date '2000-01-03') %% 7 * 24 + play.local_hour as hour_of_week,
            play.is_counted,
            play.ms_played
        from (
            {% include 'plays_of_entity.sql' %}
        ) as play
    ) as play
    group by grouping sets ((local_date), (hour_of_week))
),

days as not materialized (
    select local_date, plays, counted_plays, ms_played
    from sums
    where local_date is not null
)

-- The days that are asked for as a whole.
select
    'span' as part,
    min(local_date) as starts_on,
    null::date as ends_on,
    null::int as weekday,
    null::int as hour,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays,
    -- Whole numbers below 2^53, which this type adds up exactly, and several times faster than numeric does.
    sum(ms_played::float8)::bigint as ms_played
from days
where local_date between %(first_day)s::date and %(last_day)s::date
having count(*) > 0
union all
select
    'month' as part,
    date_trunc('month', local_date::timestamp)::date as starts_on,
    null::date as ends_on,
    null::int as weekday,
    null::int as hour,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays,
    sum(ms_played::float8)::bigint as ms_played
from days
group by 2
union all
select 'day', day.local_date, null, null, null, day.plays, day.counted_plays, day.ms_played
from days as day
inner join (
    select coalesce(%(year)s::int, extract(year from max(local_date))::int) as year
    from days
) as shown on day.local_date between make_date(shown.year, 1, 1) and make_date(shown.year, 12, 31)
union all
select 'hour', null, null, hour_of_week / 24 + 1, hour_of_week %% 24, plays, counted_plays, ms_played
from sums
where hour_of_week is not null
union all
(
    select 'absence', last_date, local_date, null, null, 0, 0, 0
    from (
        select
            local_date,
            lag(local_date) over (order by local_date) as last_date
        from days
    ) as heard
    where local_date - last_date > 1
    order by local_date - last_date desc, local_date
    limit 1
)
