-- A new attempt begins with an empty quarantine; that of a completed attempt is kept aside.
with cleared as (
    delete from ops.quarantine
    where import_id = %(import_id)s
    returning *
)

insert into ops.quarantine_before
select cleared.*
from cleared
inner join app.imports as imports on imports.import_id = cleared.import_id
where (imports.completed_before ->> 'attempt')::int = imports.attempt - 1
