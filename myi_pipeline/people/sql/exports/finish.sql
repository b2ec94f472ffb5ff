update app.exports
set
    state = 'done', finished_at = %(now)s, file_name = %(file_name)s, size_bytes = %(size_bytes)s, events = %(events)s,
    marts_are_current = %(marts_are_current)s, rows_done = rows_total, error = null
where export_id = %(export_id)s and attempts = %(attempt)s and state = 'running'
