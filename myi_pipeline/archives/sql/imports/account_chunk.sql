with one_file as (
    update app.import_files
    set
        rows_loaded = rows_loaded + %(loaded)s,
        rows_present = rows_present + %(present)s,
        rows_identical = rows_identical + %(identical)s
    where import_id = %(import_id)s and attempt = %(attempt)s and file_no = %(file_no)s
)
update app.imports
set
    rows_loaded = rows_loaded + %(loaded)s,
    rows_present = rows_present + %(present)s,
    rows_identical = rows_identical + %(identical)s,
    heartbeat_at = clock_timestamp()
where import_id = %(import_id)s and attempt = %(attempt)s
