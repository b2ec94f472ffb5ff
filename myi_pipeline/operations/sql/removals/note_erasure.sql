insert into ops.erasures (receipt_id, tombstone, requested_at, counts, logins)
values (%(receipt_id)s, %(tombstone)s, %(requested_at)s, %(counts)s, %(logins)s)
on conflict (receipt_id) do update
    set erased_at = now(), finished_at = null, counts = excluded.counts, logins = excluded.logins
