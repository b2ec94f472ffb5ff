-- The error says why; an upload that may still become complete is pending.
insert into app.imports as i (
    user_id, sha256, archive_name, kind, status, bytes_total, upload_name, seen_as, is_refused, error, finished_at
)
select
    users.user_id,
    sha256(convert_to('stuck: ' || stuck.name, 'UTF8')),
    regexp_replace(stuck.name, '^.*/', ''),
    'unknown',
    case when stuck.has_failed then 'failed' else 'pending' end,
    stuck.size,
    stuck.name,
    'stuck',
    stuck.has_failed,
    stuck.reason,
    case when stuck.has_failed then now() end
from unnest(
    %(user_keys)s::text [], %(names)s::text [], %(sizes)s::bigint [], %(reasons)s::text [], %(failed)s::boolean []
) as stuck (user_key, name, size, reason, has_failed)
inner join app.users as users on users.user_key = stuck.user_key
on conflict (user_id, sha256) do update
    set
        status = excluded.status,
        is_refused = excluded.is_refused,
        error = excluded.error,
        bytes_total = excluded.bytes_total,
        finished_at = excluded.finished_at
    where (i.status, i.error, i.bytes_total) is distinct from (excluded.status, excluded.error, excluded.bytes_total)
