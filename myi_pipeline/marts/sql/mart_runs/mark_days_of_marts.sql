-- Days that the marts have and raw may not: what a rebuild must take away.
insert into ops.changed_days (user_id, utc_day)
select distinct p.user_id, (p.played_at at time zone 'UTC')::date
from marts.fct_plays as p
where
    p.user_id = %(user_id)s
    and (%(first_day)s::date is null or p.played_at >= %(first_day)s::date::timestamp at time zone 'UTC')
    and (%(last_day)s::date is null or p.played_at < (%(last_day)s::date + 1)::timestamp at time zone 'UTC')
