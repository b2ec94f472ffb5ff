-- Places of the wanted entries that were sent and are not known to have failed.
select distinct p.place
from app.migration_writes as w
cross join lateral (
    select value::int as place
    from jsonb_array_elements_text(w.step -> 'wanted')
    where w.step ->> 'kind' = 'add'
    union all
    select place from generate_series(0, jsonb_array_length(w.step -> 'uris') - 1) as place
    where w.step ->> 'kind' = 'replace'
) as p
where w.migration_id = %(migration_id)s and w.outcome is distinct from 'not_done'
