select s.service, s.account, s.linked_at, s.paused_at
from app.linked_services as s
where s.user_id = %(user_id)s
order by s.service
