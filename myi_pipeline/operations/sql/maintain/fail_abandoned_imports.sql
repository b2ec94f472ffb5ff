-- An import beats every second while it reads and with every chunk; after an hour without a beat its process is gone.
update app.imports as imports
set
    status = 'failed',
    error = 'its process ended without a word; import the archive again',
    finished_at = now()
where
    imports.status = 'running'
    and coalesce(imports.heartbeat_at, imports.started_at, imports.created_at) < now() - interval '1 hour'
returning imports.import_id, imports.archive_name
