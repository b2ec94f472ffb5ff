select session_id, method, device, created_at, last_seen_at
from app.sessions
where
    user_id = %(user_id)s
    and last_seen_at > now() - make_interval(days => %(idle_days)s)
    and created_at > now() - make_interval(days => %(longest_days)s)
order by last_seen_at desc, session_id desc
