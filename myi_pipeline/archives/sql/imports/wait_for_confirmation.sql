insert into app.imports as i (
    user_id, sha256, archive_name, kind, bytes_total, correlation_id, run_id, confirmation, error, time_zone,
    waiting_since
)
values (
    %(user_id)s, %(sha256)s, %(archive_name)s, %(kind)s, %(bytes_total)s, %(correlation_id)s, %(run_id)s, 'needed',
    %(error)s, %(time_zone)s, now()
)
on conflict (user_id, sha256) do update
    set
        archive_name = excluded.archive_name,
        kind = excluded.kind,
        status = 'pending',
        bytes_total = excluded.bytes_total,
        run_id = excluded.run_id,
        confirmation = 'needed',
        error = excluded.error,
        time_zone = excluded.time_zone,
        asked_at = null,
        next_try_at = null
returning import_id, attempt
