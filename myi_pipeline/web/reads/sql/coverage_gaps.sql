select gap_start, gap_end, reason, is_evident
from marts.fct_coverage_gaps
where user_id = %(user_id)s
order by gap_start
limit 1000
