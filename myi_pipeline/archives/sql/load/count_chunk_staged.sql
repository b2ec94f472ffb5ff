select
    count(*) as staged,
    count(*) filter (where r.is_identical) as identical,
    count(*) filter (where r.is_shared and not r.is_identical) as shared,
    count(*) filter (where r.is_shared and r.export_no > 0) as shared_by_exports
from {load}_events as e
left join {load}_repeated_events as r on r.row_id = e.row_id
where e.row_id between %(first_row)s and %(last_row)s
