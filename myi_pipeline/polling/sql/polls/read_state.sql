select
    polled_at,
    due_at,
    was_full,
    oldest_played_at,
    newest_played_at,
    new_seen_at,
    fill_s * interval '1 second' as fill,
    late_from,
    refused,
    failures,
    last_error
from ops.poll_states
where user_id = %(user_id)s
