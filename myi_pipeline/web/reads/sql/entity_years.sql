-- What was heard of one track, artist or album in all and by year.
select
    case period_start when date '1970-01-01' then 'all' else 'year' end as period,
    period_start,
    plays,
    counted_plays,
    ms_played,
    first_played_at,
    last_played_at
from marts.agg_period_{{ entity }}s_stored
where user_id = %(user_id)s and {{ entity }}_id = %(id)s
