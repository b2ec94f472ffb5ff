select
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
from app.import_files as f
where f.import_id = %(import_id)s and f.attempt = %(attempt)s
order by f.file_no;
