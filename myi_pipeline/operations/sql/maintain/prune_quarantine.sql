-- The accounting of the import stays; only the rows themselves go.
delete from ops.quarantine as quarantine
using app.imports as imports
where
    imports.import_id = quarantine.import_id
    and imports.status <> 'running'
    -- A row that waits for its time to come is no refused one yet.
    and quarantine.due_at is null
    and imports.finished_at < now() - make_interval(days => %(days)s)
