-- Models that took much longer in their last run than in earlier runs, both by median seconds and by median seconds per
-- row: a run that writes many more rows may take longer.
with ran as (
    select
        took.model,
        took.seconds,
        took.row_count,
        runs.is_rebuild,
        row_number() over (partition by took.model, runs.is_rebuild order by took.run_id desc) as place,
        row_number() over (partition by took.model order by took.run_id desc) as place_of_all
    from ops.mart_run_models as took
    inner join ops.mart_runs as runs on runs.run_id = took.run_id
    where took.status = 'success'
),

usual as (
    select
        model,
        is_rebuild,
        percentile_cont(0.5) within group (order by seconds) as seconds,
        percentile_cont(0.5) within group (order by row_count) as row_count
    from ran
    where place between 2 and %(runs)s + 1
    group by model, is_rebuild
    having count(*) >= 3
)

select
    ran.model,
    ran.seconds::float8 as seconds,
    usual.seconds::float8 as usual_seconds,
    ran.row_count,
    usual.row_count::bigint as usual_row_count
from ran
inner join usual on usual.model = ran.model and usual.is_rebuild = ran.is_rebuild
where
    ran.place_of_all = 1
    and ran.seconds >= %(least_seconds)s
    and ran.seconds > %(times)s * usual.seconds * greatest(1, coalesce(ran.row_count, 1) / greatest(usual.row_count, 1000))
order by ran.seconds desc
