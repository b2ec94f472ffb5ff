update ops.picture_fetches
set
    state = %(state)s,
    due_at = coalesce(%(due_at)s, due_at),
    failures = failures + 1,
    last_error = %(error)s,
    lease_id = null,
    leased_until = null
where url = %(url)s and lease_id = %(lease_id)s
