-- A plan that was never made has failed. An application that was given up can be ordered again; until then decisions can
-- be made.
update app.migrations as m
set
    state = case
        when m.state = 'ordered' then 'failed'
        when not exists (select from app.migration_writes as w where w.migration_id = m.migration_id) then 'planned'
        else 'incomplete'
    end,
    finished_at = case
        when m.state = 'ordered' or exists (select from app.migration_writes as w where w.migration_id = m.migration_id)
            then %(now)s::timestamptz
    end,
    planned_at = case when m.state = 'ordered' then m.planned_at else %(now)s::timestamptz end,
    last_error = %(reason)s,
    ordered = null,
    ordered_at = null,
    due_at = null,
    cancel_asked_at = null
where m.migration_id = %(migration_id)s and m.ordered is not null
returning m.state, m.saved_id
