-- All events are here: the archives that were imported when the export was made are now imported here.
update app.imports as i
set status = r.status, error = r.error, finished_at = r.finished_at, is_refused = false
from told_archives_imports as t
cross join lateral jsonb_to_record(t.told) as r (batch int, status text, error text, finished_at timestamptz)
inner join batch_here as h on h.batch = r.batch
where
    i.import_id = h.batch_id
    and i.status = 'failed'
    and i.error = %(not_in)s
    and r.status in ('completed', 'completed_with_errors')
