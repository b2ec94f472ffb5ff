-- Whether rebuilding everything costs less than replacing what the run touches. Measured with 100,000 plays of a new
-- user next to 100,000 of another: a play that is added costs 1.5 times as much as one that is built with all others. A
-- rebuild also builds the others, and they wait for it: it pays if the run touches more than three quarters of all days
-- that there will be, and enough of them to matter.
with touched as (
    select count(*) as days from ops.mart_run_days where run_id = %(run_id)s
),

others as (
    -- Days in the marts that the run leaves as they are, counted only as far as needed to decide.
    select count(*) as days
    from (
        select
        from marts.agg_day_user as standing
        where
            not exists (
                select from ops.mart_run_days as run_day
                where
                    run_day.run_id = %(run_id)s
                    and run_day.user_id = standing.user_id
                    and run_day.utc_day = standing.local_date
            )
        limit (select days / 3 + 1 from touched)
    ) as left_alone
)

select touched.days > 1000 and others.days * 3 < touched.days
from touched
cross join others
