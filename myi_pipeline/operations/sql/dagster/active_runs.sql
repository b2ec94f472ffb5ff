-- Runs that hold a place among those that may run at once, each with what is known of its process. Times are UTC.
select
    r.run_id,
    r.pipeline_name,
    r.status,
    coalesce(
        (
            select max(e.timestamp)
            from event_logs as e
            where e.run_id = r.run_id and e.dagster_event_type in ('PIPELINE_STARTING', 'PIPELINE_START', 'PIPELINE_CANCELING')
        ),
        r.update_timestamp
    ) at time zone 'UTC' as since,
    (select t.value from run_tags as t where t.run_id = r.run_id and t.key = %(launch)s limit 1) as launch,
    (select t.value from run_tags as t where t.run_id = r.run_id and t.key = %(worker)s limit 1) as worker,
    array(
        select substring(e.event from %(pid)s)::bigint
        from event_logs as e
        where e.run_id = r.run_id and e.dagster_event_type = 'ENGINE_EVENT' and e.event ~ %(pid)s
        order by e.id
    ) as pids,
    array(
        select extract(epoch from e.timestamp at time zone 'UTC')::float
        from event_logs as e
        where e.run_id = r.run_id and e.dagster_event_type = 'ENGINE_EVENT' and e.event ~ %(pid)s
        order by e.id
    ) as started_at
from runs as r
where r.status in ('STARTING', 'STARTED', 'CANCELING')
order by r.id
