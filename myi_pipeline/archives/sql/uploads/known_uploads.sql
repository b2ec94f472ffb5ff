-- The rows of these users with these contents. A running import updates its heartbeat every second.
select
    users.user_key,
    imports.sha256,
    imports.import_id,
    imports.status,
    imports.error,
    imports.upload_name,
    imports.seen_as,
    imports.tries,
    imports.is_refused,
    imports.confirmation,
    imports.request_id,
    imports.status = 'running'
    and coalesce(imports.heartbeat_at, imports.started_at) > now() - interval '10 minutes' as is_alive,
    imports.asked_at is not null as is_asked,
    coalesce(imports.asked_at < now() - interval '2 minutes', false) as is_asked_long_ago,
    coalesce(imports.next_try_at > now(), false) as is_too_early,
    exists (select from app.import_members as m where m.import_id = imports.import_id) as has_members
from unnest(%(user_keys)s::text [], %(hashes)s::bytea []) as wanted (user_key, sha256)
inner join app.users as users on users.user_key = wanted.user_key
inner join app.imports as imports on imports.user_id = users.user_id and imports.sha256 = wanted.sha256
