-- The days of one user between two dates (either may be NULL), as in raw. Followed by the same for the marts.
insert into ops.changed_days (user_id, utc_day)
select distinct e.user_id, (e.played_at at time zone 'UTC')::date
from raw.listening_events as e
where
    e.user_id = %(user_id)s
    and (%(first_day)s::date is null or e.played_at >= %(first_day)s::date::timestamp at time zone 'UTC')
    and (%(last_day)s::date is null or e.played_at < (%(last_day)s::date + 1)::timestamp at time zone 'UTC')
