with made as (
    insert into app.access_tokens (user_id, token_hash, name, scope, expires_at)
    values (%(user_id)s, %(hash)s, %(name)s, %(scope)s, now() + make_interval(days => %(days)s))
    returning *
)

select made.token_id, u.user_key, made.name, made.scope, made.created_at, made.expires_at, made.last_used_at
from made
inner join app.users as u on u.user_id = made.user_id
