-- Returns a row if the key is new or older than a day, else none. Waits for a concurrent request with the same key.
insert into app.kept_answers as a (user_id, idempotency_key, fingerprint, kept_at)
values (%(user_id)s, %(key)s, %(fingerprint)s, %(now)s)
on conflict (user_id, idempotency_key) do update
set
    fingerprint = excluded.fingerprint,
    kept_at = excluded.kept_at,
    status = null,
    location = null,
    body = null
where a.kept_at <= %(forgotten)s
returning idempotency_key
