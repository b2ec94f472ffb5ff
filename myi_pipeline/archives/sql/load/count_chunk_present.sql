-- How many rows of a chunk are in raw: found by looking, not by subtraction, so that the accounting can fail. Two
-- chunks of one archive never have the same key, so anything there that was not loaded now was already present. A set
-- operation, because it treats NULLs as equal and reads both sides once, whatever the statistics say.
select count(*)
from (
    select x.source_id, e.played_at, c.content_id, e.ms_played, coalesce(r.occurrence, 0)::smallint
    from {load}_events as e
    inner join {load}_circumstance_ids as x on x.circumstance_no = e.circumstance_no
    left join {load}_repeated_events as r on r.row_id = e.row_id
    left join {load}_content_ids as c on c.content_no = e.content_no
    where e.row_id between %(first_row)s and %(last_row)s and r.is_identical is not true
    intersect
    select l.source_id, l.played_at, l.content_id, l.ms_played, l.occurrence
    from raw.listening_events as l
    where l.user_id = %(user_id)s and l.played_at between %(first_played_at)s and %(last_played_at)s
) as both_sides
