delete from asset_event_tags
where event_id in (select e.id from event_logs as e where e.run_id = any(%(runs)s));
delete from event_logs where run_id = any(%(runs)s);
delete from asset_check_executions where run_id = any(%(runs)s);
delete from run_tags where run_id = any(%(runs)s);
delete from runs where run_id = any(%(runs)s);
