update app.import_files
set
    status = %(status)s,
    error = %(error)s,
    error_offset = %(error_offset)s,
    rows_read = %(read)s,
    rows_quarantined = %(quarantined)s,
    covered_from = %(covered_from)s,
    covered_to = %(covered_to)s
where import_id = %(import_id)s and attempt = %(attempt)s and file_no = %(file_no)s
