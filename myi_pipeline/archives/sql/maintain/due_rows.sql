-- The earliest rows, plus all rows of the last one's second: equal rows are numbered together.
select
    quarantine.quarantine_id,
    quarantine.file_no,
    files.kind,
    quarantine.whole_row
from ops.quarantine as quarantine
inner join app.import_files as files
    on
        files.import_id = quarantine.import_id
        and files.attempt = %(attempt)s
        and files.file_no = quarantine.file_no
where quarantine.import_id = %(import_id)s and quarantine.due_at < %(until)s
order by quarantine.due_at
fetch first %(most)s rows with ties
