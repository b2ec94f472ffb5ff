-- Imports that have staging tables and are not marked as running; if the row is gone, so is its user.
select
    staged.import_id,
    imports.user_id,
    imports.sha256
from (
    select distinct substring(tablename from '^import_([0-9]+)_')::int as import_id
    from pg_catalog.pg_tables
    where schemaname = 'load' and tablename ~ '^import_[0-9]+_'
) as staged
left join app.imports as imports on imports.import_id = staged.import_id
where imports.status is distinct from 'running'
order by staged.import_id
