select
    s.user_id,
    u.user_key,
    s.service,
    s.account,
    s.secret as sealed,
    s.linked_at,
    s.paused_at,
    s.secret_ended_at
from app.linked_services as s
inner join app.users as u on u.user_id = s.user_id
where s.user_id = coalesce(%(user_id)s, s.user_id)
order by s.user_id, s.service
