-- Runs that hold a place among those that may run at once. Times are UTC.
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
    ) at time zone 'UTC' as since
from runs as r
where r.status in ('STARTING', 'STARTED', 'CANCELING')
order by r.id
