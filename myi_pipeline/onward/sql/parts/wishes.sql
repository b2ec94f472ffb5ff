select w.service, w.wished_at, w.since
from app.onward_wishes as w
where w.user_id = %(user_id)s
order by w.service
