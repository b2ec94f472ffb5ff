-- What this user heard of a content of `found`; no row for one of which that is nothing.
select
    count(*)::int as plays,
    (count(*) filter (where is_counted))::int as counted_plays,
    coalesce(sum(ms_played), 0)::bigint as ms_played
from marts.fct_plays
where user_id = %(user_id)s and content_id = found.entity_id
having count(*) > 0
offset 0
