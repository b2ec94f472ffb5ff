-- From here on, an archive uploaded over the network waits for its import, even if it failed before.
insert into app.imports as i (
    user_id, sha256, archive_name, kind, bytes_total, upload_name, seen_as, waiting_since, confirmation, error,
    time_zone
)
values (
    %(user_id)s, %(sha256)s, %(archive_name)s, %(kind)s, %(bytes_total)s, %(upload_name)s, %(seen_as)s, now(),
    %(confirmation)s, %(error)s, %(time_zone)s
)
on conflict (user_id, sha256) do update
    set
        status = 'pending',
        upload_name = excluded.upload_name,
        seen_as = coalesce(excluded.seen_as, i.seen_as),
        waiting_since = now(),
        tries = 0,
        next_try_at = null,
        asked_at = null,
        is_refused = false,
        error = excluded.error,
        time_zone = excluded.time_zone,
        confirmation = case when i.confirmation = 'given' then i.confirmation else excluded.confirmation end
    where i.status in ('pending', 'failed')
returning import_id
