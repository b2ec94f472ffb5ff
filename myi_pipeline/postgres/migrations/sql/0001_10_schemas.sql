-- Schemas: app, raw and ops belong to migrations; staging, intermediate and marts to dbt.
create schema if not exists app;
create schema if not exists raw;
create schema if not exists ops;
-- Staging tables of imports under way: unlogged, one set an import, dropped when it ends.
create schema if not exists load;
create schema if not exists staging authorization {dbt};
create schema if not exists intermediate authorization {dbt};
create schema if not exists marts authorization {dbt};

-- Temporary tables for interning and for dbt; dbt also makes the schemas in which it checks itself.
grant temporary on database {database} to {ingest};
grant temporary, create on database {database} to {dbt};
grant usage, create on schema load to {ingest};
grant usage on schema app to {ingest}, {dbt}, {app};
grant usage on schema raw to {ingest}, {dbt};
grant usage on schema ops to {ingest}, {dbt}, {monitor};
grant usage on schema marts to {api}, {analyst}, {monitor};
