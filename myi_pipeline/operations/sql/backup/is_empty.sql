select
    to_regclass('app.users') is not null,
    exists (
        select from pg_class as c
        inner join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname in ('app', 'raw', 'ops', 'staging', 'intermediate', 'marts') and c.relkind in ('r', 'p', 'v')
    )
