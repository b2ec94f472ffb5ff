-- What is rewritten: everything of this role's, and the statistics, which hold values of rows.
select n.nspname, c.relname
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where
    c.relkind in ('r', 'm') and c.relpersistence <> 't'
    and n.nspname not in ('information_schema', 'pg_toast')
    and (n.nspname <> 'pg_catalog' or c.relname in ('pg_statistic', 'pg_statistic_ext_data'))
    -- Nobody's data: while these are rewritten, processes of runs could not say that they live.
    and (n.nspname, c.relname) not in (('ops', 'run_heartbeats'), ('ops', 'celery_workers'))
    and pg_has_role(c.relowner, 'usage')
-- Statistics last: reading every table anew writes them.
order by n.nspname = 'pg_catalog', n.nspname, c.relname
