update app.kept_answers
set status = %(status)s, location = %(location)s, body = %(body)s
where user_id = %(user_id)s and idempotency_key = %(key)s
