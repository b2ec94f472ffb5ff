update app.migrations
set
    state = 'planned',
    planned_at = %(now)s,
    target_before = %(target_before)s,
    target_now = %(target_now)s,
    were_there = %(were_there)s,
    capabilities = %(capabilities)s,
    note = %(note)s,
    last_error = null,
    ordered = null,
    ordered_at = null,
    attempts = 0,
    due_at = null
where migration_id = %(migration_id)s and state = 'ordered' and cancel_asked_at is null
