-- Imports that ended lately, and those that failed longer ago and have an open notice.
select
    i.import_id,
    i.user_id,
    i.attempt,
    i.status,
    i.rows_loaded,
    i.rows_quarantined,
    i.finished_at
from app.imports as i
where
    i.status in ('completed', 'completed_with_errors', 'failed')
    and (
        i.finished_at > %(since)s
        or (
            i.status = 'failed'
            and exists (
                select from ops.notices as n
                where n.kind = 'import.failed' and n.ended_at is null and n.subject = 'import ' || i.import_id
            )
        )
    )
