-- The last failure of each job and range of users, with whether Dagster is to retry it. Times are UTC.
select distinct on (r.pipeline_name, first_user, last_user)
    r.pipeline_name as job,
    coalesce(tags.single, tags.first_user) as first_user,
    coalesce(tags.single, tags.last_user) as last_user,
    r.update_timestamp at time zone 'UTC' as ended_at,
    coalesce(tags.will_retry, 'false') = 'true' as will_retry
from runs as r
cross join lateral (
    select
        max(case when t.key = 'dagster/partition' then t.value end) as single,
        max(case when t.key = 'dagster/asset_partition_range_start' then t.value end) as first_user,
        max(case when t.key = 'dagster/asset_partition_range_end' then t.value end) as last_user,
        max(case when t.key = 'dagster/will_retry' then t.value end) as will_retry
    from run_tags as t
    where t.run_id = r.run_id
) as tags
where r.status = 'FAILURE' and r.update_timestamp > %(since)s
order by r.pipeline_name, first_user, last_user, r.update_timestamp desc
