-- Requests those that are still waiting. A request that Dagster never received is repeated with its own key and does
-- not count as another try.
update app.imports
set
    tries = tries + (request_id is distinct from %(request_id)s or asked_at is null)::int,
    request_id = %(request_id)s,
    asked_at = now(),
    next_try_at = null
where import_id = any(%(import_ids)s) and status in ('pending', 'failed')
returning import_id
