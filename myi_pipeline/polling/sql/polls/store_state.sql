insert into ops.poll_states (
    user_id, polled_at, due_at, was_full, oldest_played_at, newest_played_at, new_seen_at, fill_s, late_from,
    refused, failures, last_error
)
values (
    %(user_id)s, %(polled_at)s, %(due_at)s, %(was_full)s, %(oldest_played_at)s, %(newest_played_at)s,
    %(new_seen_at)s, %(fill_s)s, %(late_from)s, %(refused)s, %(failures)s, %(last_error)s
)
on conflict (user_id) do update
    set
        polled_at = excluded.polled_at,
        due_at = excluded.due_at,
        was_full = excluded.was_full,
        oldest_played_at = excluded.oldest_played_at,
        newest_played_at = excluded.newest_played_at,
        new_seen_at = excluded.new_seen_at,
        fill_s = excluded.fill_s,
        late_from = excluded.late_from,
        refused = excluded.refused,
        failures = excluded.failures,
        last_error = excluded.last_error
