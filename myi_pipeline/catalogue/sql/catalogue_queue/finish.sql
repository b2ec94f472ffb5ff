-- Only for the holder of the lease: a worker whose lease has expired and passed to another changes nothing.
update ops.catalogue_queue
set
    state = %(state)s,
    due_at = coalesce(%(due_at)s, due_at),
    failures = failures + %(failed)s::int,
    last_error = %(error)s,
    answered_at = case when %(state)s <> 'waiting' then %(now)s::timestamptz end,
    lease_id = null,
    leased_until = null
where entity_kind = %(entity_kind)s and entity_id = %(entity_id)s and lease_id = %(lease_id)s
