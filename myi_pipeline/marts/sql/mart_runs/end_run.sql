update ops.mart_runs
set status = %(status)s, error = %(error)s, finished_at = now()
where run_id = %(run_id)s and status = 'running'
