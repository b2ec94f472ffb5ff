insert into ops.celery_workers (worker, host, queues, slots)
values (%(worker)s, %(host)s, %(queues)s, %(slots)s)
on conflict (worker) do update
set host = excluded.host, queues = excluded.queues, slots = excluded.slots, seen_at = now()
