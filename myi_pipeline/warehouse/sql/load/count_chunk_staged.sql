select
    count(*) as staged,
    count(*) filter (where r.is_identical) as identical
from {load}_events as e
left join {load}_repeated_events as r on r.row_id = e.row_id
where e.row_id between %(first_row)s and %(last_row)s
