select
    u.user_id,
    u.user_key,
    c.client_id,
    c.status,
    c.paused_at,
    c.scopes,
    c.authorised_at,
    s.polled_at,
    s.due_at
from app.users as u
left join app.credentials as c on c.user_id = u.user_id
left join ops.poll_states as s on s.user_id = u.user_id
where u.user_id = any(%(user_ids)s)
