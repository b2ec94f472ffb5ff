-- Figures for metrics: a name and a number. Of whose runs they are, nothing.
select 'dagster_runs_failed_1h' as name, count(*)::float as value
from runs
where status = 'FAILURE' and update_timestamp > now() at time zone 'UTC' - interval '1 hour'
union all
select 'dagster_runs_active', count(*)::float
from runs
where status in ('STARTING', 'STARTED', 'CANCELING')
union all
select 'dagster_runs_queued', count(*)::float
from runs
where status = 'QUEUED'
union all
select
    'dagster_queue_age_seconds', coalesce(greatest(extract(epoch from now() - min(update_timestamp) at time zone 'UTC'), 0), 0)::float
from runs
where status = 'QUEUED'
union all
-- Absent where no daemon ever ran.
select 'dagster_heartbeat_age_seconds', extract(epoch from now() - max(timestamp) at time zone 'UTC')::float
from daemon_heartbeats
having count(*) > 0
