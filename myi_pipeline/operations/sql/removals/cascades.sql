-- By which foreign keys rows go with those of another table.
select
    format('%I.%I', inner_namespace.nspname, inner_table.relname),
    format('%I.%I', parent_namespace.nspname, parent.relname)
from pg_constraint as c
inner join pg_class as inner_table on inner_table.oid = c.conrelid
inner join pg_namespace as inner_namespace on inner_namespace.oid = inner_table.relnamespace
inner join pg_class as parent on parent.oid = c.confrelid
inner join pg_namespace as parent_namespace on parent_namespace.oid = parent.relnamespace
where c.contype = 'f' and c.confdeltype = 'c'
