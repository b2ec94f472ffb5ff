select
    coalesce(s.idle_until <= %(now)s, true)
    and (
        m.completed_run_id is distinct from s.mart_run_id
        or exists (
            select from ops.musicbrainz_queue as q
            where q.due_at <= %(now)s and (q.leased_until is null or q.leased_until <= %(now)s)
        )
    )
from ops.musicbrainz_state as s
cross join ops.mart_state as m
