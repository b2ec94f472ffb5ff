update app.exports
set rows_done = %(rows_done)s, rows_total = %(rows_total)s, heartbeat_at = %(now)s
where export_id = %(export_id)s and attempts = %(attempt)s and state = 'running'
