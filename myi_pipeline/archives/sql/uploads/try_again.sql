-- A person has asked for it, or has put the archive there again: it waits as if it were new.
update app.imports
set
    status = 'pending',
    waiting_since = now(),
    tries = 0,
    next_try_at = null,
    asked_at = null,
    is_refused = false,
    seen_as = coalesce(%(seen_as)s, seen_as),
    error = null,
    confirmation = case when %(is_confirmed)s then 'given' else confirmation end
where
    import_id = %(import_id)s
    -- An upload that is cut off or unreadable has no content to import.
    and seen_as is distinct from 'stuck'
    and (
        status in ('pending', 'failed')
        or (status = 'running' and coalesce(heartbeat_at, started_at) < now() - interval '10 minutes')
    )
returning import_id
