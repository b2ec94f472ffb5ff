select w.muted, w.quiet_from, w.quiet_until
from app.notice_wishes as w
where w.user_id = %(user_id)s
