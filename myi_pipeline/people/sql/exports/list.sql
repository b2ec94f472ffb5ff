select
    e.export_id,
    e.with_marts,
    e.state,
    e.ordered_at,
    e.begun_at,
    e.finished_at,
    e.rows_done,
    e.rows_total,
    e.file_name,
    e.size_bytes,
    e.events,
    e.marts_are_current,
    e.error
from app.exports as e
where e.user_id = %(user_id)s
order by e.export_id desc
limit 100
