select kind, covered_from, covered_to
from marts.fct_covered_spans
where user_id = %(user_id)s
order by array_position(array['music', 'podcasts', 'audiobooks', 'video'], kind), covered_from
limit 1000
