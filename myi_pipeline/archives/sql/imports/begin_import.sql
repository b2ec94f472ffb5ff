insert into app.imports as i (
    user_id, sha256, archive_name, kind, status, attempt, bytes_total, correlation_id, run_id, confirmation,
    time_zone, started_at, heartbeat_at
)
values (
    %(user_id)s, %(sha256)s, %(archive_name)s, %(kind)s, 'running', 1, %(bytes_total)s, %(correlation_id)s, %(run_id)s,
    %(confirmation)s, %(time_zone)s, now(), now()
)
on conflict (user_id, sha256) do update
    set
        archive_name = excluded.archive_name,
        kind = excluded.kind,
        status = 'running',
        attempt = i.attempt + 1,
        completed_before = case
            -- Its plays are deleted with the other zone: nothing of its former state is valid any more.
            when i.time_zone is distinct from excluded.time_zone then null
            when i.status in ('completed', 'completed_with_errors') then to_jsonb(i) - 'completed_before'
            else i.completed_before
        end,
        error = null,
        warnings = '{}',
        bytes_total = excluded.bytes_total,
        bytes_read = 0,
        rows_read = 0,
        rows_loaded = 0,
        rows_present = 0,
        rows_identical = 0,
        rows_quarantined = 0,
        unknown_keys = '{}',
        correlation_id = excluded.correlation_id,
        run_id = excluded.run_id,
        confirmation = coalesce(excluded.confirmation, i.confirmation),
        time_zone = excluded.time_zone,
        asked_at = null,
        next_try_at = null,
        is_refused = false,
        started_at = now(),
        heartbeat_at = now(),
        finished_at = null
returning import_id, attempt
