-- By day, week, month or year; a bucket at an end of the span holds the days that lie inside, and is added up from them.
with asked as (
    select
        -- The buckets that hold the span's first day and the day after it; date_trunc's weeks are ISO weeks.
        date_trunc(%(grain)s, %(first_day)s::timestamp)::date as first_bucket,
        date_trunc(%(grain)s, %(last_day)s::timestamp)::date as last_bucket,
        date_trunc(%(grain)s, %(first_day)s + ('1 ' || %(grain)s)::interval - interval '1 day')::date as first_whole,
        greatest(
            date_trunc(%(grain)s, %(first_day)s + ('1 ' || %(grain)s)::interval - interval '1 day')::date,
            date_trunc(%(grain)s, %(last_day)s + interval '1 day')::date
        ) as rest
)

select bucket.*
from asked
cross join lateral (
    (
        select local_date as starts_on, 1 as days, plays, counted_plays, ms_played, unknown_plays
        from marts.agg_day_user
        where
            %(grain)s = 'day'
            and user_id = %(user_id)s
            and local_date >= %(first_day)s
            and local_date <= %(last_day)s
            and local_date > %(after_starts_on)s
        order by local_date
        limit %(limit)s
    )
    union all
    (
        select period_start, days, plays, counted_plays, ms_played, unknown_plays
        from marts.agg_period_user
        where
            user_id = %(user_id)s
            and period = %(grain)s
            and period_start >= asked.first_whole
            and period_start < asked.rest
            and period_start > %(after_starts_on)s
        order by period_start
        limit %(limit)s
    )
    {%- for bucket, first, last in [
        ('first_bucket', '%(first_day)s', 'least(%(last_day)s, asked.first_whole - 1)'),
        ('last_bucket', 'asked.rest', '%(last_day)s'),
    ] %}
    union all
    select
        asked.{{ bucket }},
        count(*)::int,
        sum(plays)::int,
        sum(counted_plays)::int,
        sum(ms_played)::bigint,
        sum(unknown_plays)::int
    from marts.agg_day_user
    where
        %(grain)s <> 'day'
        and asked.{{ bucket }} > %(after_starts_on)s
        and user_id = %(user_id)s
        and local_date >= {{ first }}
        and local_date <= {{ last }}
    having count(*) > 0
    {%- endfor %}
) as bucket
order by bucket.starts_on
limit %(limit)s
