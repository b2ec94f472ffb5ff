select
    extract(isodow from local_date)::int as weekday,
    local_hour::int as hour,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays,
    sum(ms_played)::bigint as ms_played
from marts.agg_hour_user
where user_id = %(user_id)s and local_date between %(first_day)s and %(last_day)s
group by 1, 2
order by 1, 2
