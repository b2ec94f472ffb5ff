select
    exists (select from app.credentials where is_main and status = 'active' and paused_at is null)
    and coalesce(s.idle_until <= %(now)s, true)
    and (
        m.completed_run_id is distinct from s.mart_run_id
        or exists (
            select from ops.catalogue_queue as q
            where
                q.state = 'waiting' and q.due_at <= %(now)s
                and (q.leased_until is null or q.leased_until <= %(now)s)
        )
    )
from ops.catalogue_state as s
cross join ops.mart_state as m
