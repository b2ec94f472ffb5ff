insert into ops.service_states (
    user_id, service, polled_at, due_at, newest_at, new_seen_at, looked_back_at, read_whole_at, failures, last_error
)
values (
    %(user_id)s, %(service)s, %(polled_at)s, %(due_at)s, %(newest_at)s, %(new_seen_at)s, %(looked_back_at)s,
    %(read_whole_at)s, %(failures)s, %(last_error)s
)
on conflict (user_id, service) do update
    set
        polled_at = excluded.polled_at,
        due_at = excluded.due_at,
        newest_at = excluded.newest_at,
        new_seen_at = excluded.new_seen_at,
        looked_back_at = excluded.looked_back_at,
        read_whole_at = excluded.read_whole_at,
        failures = excluded.failures,
        last_error = excluded.last_error
