select t.token_id, u.user_key, t.name, t.scope, t.created_at, t.expires_at, t.last_used_at
from app.access_tokens as t
inner join app.users as u on u.user_id = t.user_id
where
    (%(user_id)s::int is null or t.user_id = %(user_id)s)
    and t.revoked_at is null
    and (t.expires_at is null or t.expires_at > now())
order by t.token_id desc
