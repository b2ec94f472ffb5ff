-- Days that are in the marts and perhaps no longer in raw, which a rebuild must remove. A play moved by a correction is
-- computed with the day that its source reports.
insert into ops.changed_days (user_id, utc_day)
select distinct p.user_id, (coalesce(p.reported_at, p.played_at) at time zone 'UTC')::date
from marts.fct_plays_stored as p
where
    p.user_id = %(user_id)s
    and (%(first_day)s::date is null or coalesce(p.reported_at, p.played_at) >= %(first_day)s::date::timestamp at time zone 'UTC')
    and (%(last_day)s::date is null or coalesce(p.reported_at, p.played_at) < (%(last_day)s::date + 1)::timestamp at time zone 'UTC')
