-- The ends of the index of days.
select
    min(local_date) as first_heard,
    max(local_date) as last_heard
from marts.agg_day_user
where user_id = %(user_id)s
