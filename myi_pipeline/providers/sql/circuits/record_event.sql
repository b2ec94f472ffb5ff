insert into ops.circuit_events (user_id, happened_at, from_state, to_state, open_until, kind, reason)
select user_id, %(now)s, %(from_state)s, %(state)s, %(open_until)s, %(event_kind)s, %(event_reason)s
from app.users
where user_id = %(holder_id)s
