-- How many wanted entries were added by confirmed writes, and whether one of these replaced the whole list.
select
    count(distinct p.place) as added,
    coalesce(bool_or(w.step ->> 'kind' = 'replace'), false) as has_replaced,
    (select count(*) from app.migration_writes as sent where sent.migration_id = %(migration_id)s) as requests,
    (select m.were_there from app.migrations as m where m.migration_id = %(migration_id)s) as were_there
from app.migration_writes as w
cross join lateral (
    select value::int as place
    from jsonb_array_elements_text(w.step -> 'wanted')
    where w.step ->> 'kind' = 'add'
    union all
    select place from generate_series(0, jsonb_array_length(w.step -> 'uris') - 1) as place
    where w.step ->> 'kind' = 'replace'
) as p
where w.migration_id = %(migration_id)s and w.outcome in ('confirmed', 'partly_done')
