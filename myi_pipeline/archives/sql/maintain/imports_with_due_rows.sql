-- Imports with rows that were in the future when they were read and no longer are.
select
    imports.import_id,
    imports.attempt,
    imports.user_id,
    imports.sha256
from app.imports as imports
where
    imports.status in ('completed', 'completed_with_errors')
    and exists (
        select from ops.quarantine as quarantine
        where quarantine.import_id = imports.import_id and quarantine.due_at < %(until)s
    )
order by imports.import_id
