select greatest(s.polled_from, p.polled_at)
from raw.polled_spans as s
left join ops.poll_states as p on p.user_id = s.user_id
where s.user_id = %(user_id)s and s.polled_to is null
