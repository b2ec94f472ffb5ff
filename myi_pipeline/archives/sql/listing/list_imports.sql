select
    i.import_id,
    u.user_key,
    i.archive_name,
    encode(i.sha256, 'hex') as sha256,
    i.kind,
    i.status,
    i.attempt,
    i.error,
    i.warnings,
    i.covered_from,
    i.covered_to,
    i.bytes_total,
    i.bytes_read,
    i.rows_read,
    i.rows_loaded,
    i.rows_present,
    i.rows_identical,
    i.rows_quarantined,
    i.unknown_keys,
    i.correlation_id,
    i.upload_name,
    i.tries,
    i.next_try_at,
    i.run_id,
    coalesce(i.confirmation = 'needed', false) and i.status = 'pending' as needs_confirmation,
    i.created_at,
    i.started_at,
    i.heartbeat_at,
    i.finished_at
from app.imports as i
inner join app.users as u on u.user_id = i.user_id
where
    (%(user_key)s::text is null or u.user_key = %(user_key)s)
    and (%(import_id)s::int is null or i.import_id = %(import_id)s)
    and (%(before)s::int is null or i.import_id < %(before)s)
order by i.import_id desc
limit %(limit)s;
