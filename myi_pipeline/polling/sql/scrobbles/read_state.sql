select polled_at, due_at, newest_at, new_seen_at, looked_back_at, read_whole_at, failures, last_error
from ops.service_states
where user_id = %(user_id)s and service = %(service)s
