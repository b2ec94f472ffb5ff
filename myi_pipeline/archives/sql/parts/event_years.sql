select distinct extract(year from date_trunc('day', e.played_at at time zone 'UTC'))::int as year
from raw.listening_events as e
where e.user_id = %(user_id)s
order by year
