-- Another try has failed: the archive waits again, for as long as the list of waits says, or is left to a person.
update app.imports
set
    status = case
        when %(is_refused)s or tries > cardinality(%(waits_s)s::float8 []) then 'failed' else 'pending'
    end,
    is_refused = %(is_refused)s,
    tries = case when %(is_counted)s then tries else greatest(tries - 1, 0) end,
    error = %(error)s,
    next_try_at = case
        when %(is_refused)s or tries > cardinality(%(waits_s)s::float8 []) then null
        else now() + make_interval(secs => (%(waits_s)s::float8 [])[greatest(tries, 1)])
    end,
    asked_at = null,
    finished_at = now()
where import_id = %(import_id)s and status in ('pending', 'running', 'failed')
returning status
