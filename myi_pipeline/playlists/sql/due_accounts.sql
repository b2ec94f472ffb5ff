select a.account_id
from app.provider_accounts as a
inner join app.users as u on u.user_id = a.user_id
left join ops.playlist_states as s on s.account_id = a.account_id
where
    a.state = 'active'
    and a.paused_at is null
    and (%(user_keys)s::text[] is null or u.user_key = any(%(user_keys)s))
    and (%(force)s or s.due_at is null or s.due_at <= %(now)s)
order by s.due_at nulls first, a.account_id
