-- Whether the run touches more than half of the days that the marts have, and enough of them to matter.
with touched as (
    select count(*) as days from ops.mart_run_days where run_id = %(run_id)s
)

select
    touched.days > 1000
    and touched.days * 2 > (
        select count(*) from (select from marts.agg_day_user limit (select days * 2 + 1 from touched)) as standing
    )
from touched
