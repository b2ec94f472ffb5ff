update app.imports
set
    status = %(status)s,
    completed_before = null,
    error = %(error)s,
    warnings = %(warnings)s,
    account_hash = coalesce(%(account_hash)s, account_hash),
    covered_from = coalesce(%(covered_from)s, covered_from),
    covered_to = coalesce(%(covered_to)s, covered_to),
    bytes_read = %(bytes_read)s,
    rows_read = %(read)s,
    rows_loaded = %(loaded)s,
    rows_present = %(present)s,
    rows_identical = %(identical)s,
    rows_quarantined = %(quarantined)s,
    unknown_keys = %(unknown_keys)s,
    heartbeat_at = now(),
    finished_at = now()
where import_id = %(import_id)s and attempt = %(attempt)s
