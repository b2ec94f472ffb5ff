update app.migrations
set
    state = %(state)s,
    finished_at = case when %(is_over)s then %(now)s::timestamptz end,
    last_error = %(error)s,
    applied = null,
    begun_at = coalesce(begun_at, %(now)s::timestamptz),
    ordered = case when not %(is_over)s then ordered end,
    ordered_at = case when not %(is_over)s then ordered_at end,
    due_at = case when not %(is_over)s then due_at end,
    cancel_asked_at = case when not %(is_over)s then cancel_asked_at end
where migration_id = %(migration_id)s
