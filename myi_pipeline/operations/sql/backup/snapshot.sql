select
    pg_export_snapshot(),
    (select version_num from ops.alembic_version),
    pg_database_size(current_database()),
    (select count(*) from app.users),
    (select count(*) from raw.listening_events),
    (select coalesce(max(run_id), 0) from ops.mart_runs)
