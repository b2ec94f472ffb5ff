-- Tried again ten seconds after the first failure; the delay doubles each time, up to an hour.
update ops.playlist_file_inbox
set
    tries = tries + 1,
    next_try_at = now() + least(interval '1 hour', interval '10 seconds' * power(2, least(tries, 10))),
    last_error = %(error)s
where file_id = %(file_id)s
