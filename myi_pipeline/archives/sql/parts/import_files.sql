select
    f.import_id as batch,
    f.attempt,
    f.file_no,
    f.file_name,
    f.kind,
    f.status,
    f.error,
    f.error_offset,
    f.rows_read,
    f.rows_loaded,
    f.rows_present,
    f.rows_identical,
    f.rows_quarantined,
    f.covered_from,
    f.covered_to
from app.imports as i
inner join app.import_files as f on f.import_id = i.import_id
where i.user_id = %(user_id)s
order by f.import_id, f.attempt, f.file_no
