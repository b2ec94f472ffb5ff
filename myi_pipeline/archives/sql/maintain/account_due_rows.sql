-- Moves rows in the accounting of their file and import from quarantined to where they ended up, in the same transaction.
with one_file as (
    update app.import_files
    set
        rows_quarantined = rows_quarantined - %(read)s,
        rows_loaded = rows_loaded + %(loaded)s,
        rows_present = rows_present + %(present)s,
        rows_identical = rows_identical + %(identical)s
    where import_id = %(import_id)s and attempt = %(attempt)s and file_no = %(file_no)s
),

gone as (
    delete from ops.quarantine
    where quarantine_id = any(%(quarantine_ids)s)
)

update app.imports
set
    rows_quarantined = rows_quarantined - %(read)s,
    rows_loaded = rows_loaded + %(loaded)s,
    rows_present = rows_present + %(present)s,
    rows_identical = rows_identical + %(identical)s
where import_id = %(import_id)s and attempt = %(attempt)s
