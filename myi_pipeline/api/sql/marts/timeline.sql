-- Sums of days by day, week, month or year; a bucket at an end of the span holds the days that lie inside.
select *
from (
    select
        case %(grain)s
            when 'day' then local_date
            when 'week' then local_date - (extract(isodow from local_date)::int - 1)
            when 'month' then local_date - (extract(day from local_date)::int - 1)
            else make_date(extract(year from local_date)::int, 1, 1)
        end as starts_on,
        count(*)::int as days,
        sum(plays)::int as plays,
        sum(counted_plays)::int as counted_plays,
        sum(ms_played)::bigint as ms_played,
        sum(unknown_plays)::int as unknown_plays
    from marts.agg_day_user
    where
        user_id = %(user_id)s
        and local_date between %(first_day)s and %(last_day)s
        -- The rest of the bucket that was seen last comes along, and goes again below.
        and local_date > %(after_starts_on)s
    group by 1
) as bucket
where starts_on > %(after_starts_on)s
order by starts_on
limit %(limit)s
