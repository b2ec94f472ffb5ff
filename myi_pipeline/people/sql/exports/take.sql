update app.exports as e
set
    state = 'running', attempts = e.attempts + 1, begun_at = %(now)s, heartbeat_at = %(now)s, rows_done = 0,
    rows_total = 0
from app.users as u
where
    e.export_id = %(export_id)s
    and u.user_id = e.user_id
    and (e.state = 'ordered' or (e.state = 'running' and e.heartbeat_at < %(silent_since)s))
returning e.export_id, e.user_id, u.user_key, e.with_marts, e.attempts
