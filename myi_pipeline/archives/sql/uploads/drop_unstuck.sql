-- Uploads that are no longer stuck: each has a row of its own by now, or is gone.
delete from app.imports as imports
using app.users as users
where
    users.user_id = imports.user_id
    and imports.seen_as = 'stuck'
    and imports.kind = 'unknown'
    and imports.attempt = 0
    and not exists (
        select
        from unnest(%(user_keys)s::text [], %(names)s::text []) as stuck (user_key, name)
        where stuck.user_key = users.user_key and stuck.name = imports.upload_name
    )
