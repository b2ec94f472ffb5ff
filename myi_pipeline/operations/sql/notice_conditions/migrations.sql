-- Playlists on the move that ended lately, or wait for their person; longer ago only where a notice of it is open.
select
    m.migration_id,
    m.user_id,
    m.state,
    coalesce(m.finished_at, m.planned_at, m.created_at) as at
from app.migrations as m
where
    (m.state in ('done', 'incomplete', 'failed') and m.finished_at > %(since)s)
    or (
        m.state = 'planned'
        and m.ordered is null
        and (
            coalesce(m.planned_at, m.created_at) > %(since)s
            or exists (
                select from ops.notices as n
                where
                    n.kind = 'migration.waiting'
                    and n.ended_at is null
                    and n.subject = 'migration ' || m.migration_id
            )
        )
    )
