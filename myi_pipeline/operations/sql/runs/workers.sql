select
    worker,
    host,
    queues,
    slots,
    now() - seen_at as silent_for
from ops.celery_workers
order by host, worker
