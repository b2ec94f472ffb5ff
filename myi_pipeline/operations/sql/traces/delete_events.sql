delete from asset_event_tags
where event_id in (select e.id from event_logs as e where e.partition = %(user_key)s);
delete from event_logs where partition = %(user_key)s;
delete from asset_check_executions where partition = %(user_key)s;
-- Which partitions have what; Dagster works it out again.
update asset_keys set cached_status_data = null where cached_status_data ~ %(pattern)s;
delete from job_ticks where tick_body ~ %(pattern)s and status <> 'STARTED';
