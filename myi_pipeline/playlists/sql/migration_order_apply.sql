update app.migrations
set
    state = 'applying',
    finished_at = null,
    last_error = null,
    ordered = 'apply',
    ordered_at = %(now)s,
    attempts = 0,
    due_at = null,
    cancel_asked_at = null
where migration_id = %(migration_id)s and user_id = %(user_id)s
