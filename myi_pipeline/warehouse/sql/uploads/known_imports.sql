-- What is known of these contents of these users. An import whose heart has not beaten for ten minutes is dead.
select
    users.user_key,
    imports.sha256,
    imports.status,
    imports.attempt,
    imports.error,
    imports.status = 'running' and imports.heartbeat_at > now() - interval '10 minutes' as is_alive
from unnest(%(user_keys)s::text [], %(hashes)s::bytea []) as wanted (user_key, sha256)
inner join app.users as users on users.user_key = wanted.user_key
inner join app.imports as imports on imports.user_id = users.user_id and imports.sha256 = wanted.sha256
