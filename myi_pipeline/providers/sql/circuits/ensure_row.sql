insert into ops.circuits (user_id, state)
select user_id, 'closed'
from app.users
where user_id = %(user_id)s
on conflict (user_id) do nothing
