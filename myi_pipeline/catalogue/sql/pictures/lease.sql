insert into ops.picture_fetches as f (url, due_at, lease_id, leased_until)
values (%(url)s, %(now)s, gen_random_uuid(), %(until)s)
on conflict (url) do update
    set lease_id = excluded.lease_id, leased_until = excluded.leased_until
    where
        f.state = 'waiting' and f.due_at <= %(now)s
        and (f.leased_until is null or f.leased_until <= %(now)s)
returning f.url, f.failures, f.lease_id
