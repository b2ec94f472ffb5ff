select
    extract(year from local_date)::int as year,
    sum(plays)::bigint as plays,
    sum(counted_plays)::bigint as counted_plays,
    sum(ms_played)::bigint as ms_played
from marts.agg_day_user
where user_id = %(user_id)s
group by 1
order by 1;
