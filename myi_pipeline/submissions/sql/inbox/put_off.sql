-- Tried again ten seconds after the first failure; the delay doubles each time, up to an hour.
update ops.listen_inbox
set
    tries = tries + 1,
    next_try_at = now() + least(interval '1 hour', interval '10 seconds' * power(2, least(tries, 10))),
    last_error = %(error)s
where submission_id = %(submission_id)s
