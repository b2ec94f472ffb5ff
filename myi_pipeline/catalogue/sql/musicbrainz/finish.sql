-- Only for the holder of the lease: a worker whose lease has expired and passed to another changes nothing.
update ops.musicbrainz_queue
set
    state = %(state)s,
    due_at = coalesce(%(due_at)s, due_at),
    failures = case when %(state)s = 'waiting' then failures + %(failed)s::int else 0 end,
    last_error = %(error)s,
    answered_at = case when %(state)s = 'waiting' then answered_at else %(now)s::timestamptz end,
    asked_with = case when %(state)s = 'waiting' then asked_with else %(asked_with)s end,
    lease_id = null,
    leased_until = null
where entry_id = %(entry_id)s and lease_id = %(lease_id)s
