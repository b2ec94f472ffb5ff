-- Successes of these jobs since a moment, with their range of users.
select
    r.pipeline_name as job,
    coalesce(tags.single, tags.first_user) as first_user,
    coalesce(tags.single, tags.last_user) as last_user,
    r.update_timestamp at time zone 'UTC' as ended_at
from runs as r
cross join lateral (
    select
        max(case when t.key = 'dagster/partition' then t.value end) as single,
        max(case when t.key = 'dagster/asset_partition_range_start' then t.value end) as first_user,
        max(case when t.key = 'dagster/asset_partition_range_end' then t.value end) as last_user
    from run_tags as t
    where t.run_id = r.run_id
) as tags
where r.status = 'SUCCESS' and r.pipeline_name = any(%(jobs)s) and r.update_timestamp > %(since)s
