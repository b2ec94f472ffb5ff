select r.run_id
from runs as r
where
    r.partition = %(user_key)s
    or exists (
        select from run_tags as t
        where t.run_id = r.run_id and t.key = 'dagster/partition' and t.value = %(user_key)s
    )
    or (
        exists (
            select from run_tags as t
            where t.run_id = r.run_id and t.key = 'dagster/asset_partition_range_start' and t.value = %(user_key)s
        )
        and exists (
            select from run_tags as t
            where t.run_id = r.run_id and t.key = 'dagster/asset_partition_range_end' and t.value = %(user_key)s
        )
    )
order by r.id
limit 100
