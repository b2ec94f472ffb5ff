-- Whole years from their own rows, the days at both ends of the span from hours.
with asked as (
    select
        make_date(extract(year from %(first_day)s::date + interval '1 year' - interval '1 day')::int, 1, 1) as first_year,
        -- The first day after the whole years; without any it is what follows the span's first part.
        greatest(
            make_date(extract(year from %(first_day)s::date + interval '1 year' - interval '1 day')::int, 1, 1),
            make_date(extract(year from %(last_day)s::date + 1)::int, 1, 1)
        ) as rest
)

select
    heard.weekday::int as weekday,
    heard.hour::int as hour,
    sum(heard.plays)::int as plays,
    sum(heard.counted_plays)::int as counted_plays,
    sum(heard.ms_played)::bigint as ms_played
from asked
cross join lateral (
    select weekday, local_hour as hour, plays, counted_plays, ms_played
    from marts.agg_clock_user
    where user_id = %(user_id)s and year_start >= asked.first_year and year_start < asked.rest
    union all
    select extract(isodow from local_date), local_hour, plays, counted_plays, ms_played
    from marts.agg_hour_user
    where
        user_id = %(user_id)s
        and local_date >= %(first_day)s
        and local_date <= least(%(last_day)s, asked.first_year - 1)
    union all
    select extract(isodow from local_date), local_hour, plays, counted_plays, ms_played
    from marts.agg_hour_user
    where user_id = %(user_id)s and local_date >= asked.rest and local_date <= %(last_day)s
) as heard
group by heard.weekday, heard.hour
order by heard.weekday, heard.hour
