-- The keys whose rows differ between two relations with the same columns: by the number of rows and the sum of row
-- digests, so that each side is read once and nothing is sorted.
create temporary table differing_keys as
with live as (
    select {key} as key, count(*) as row_count, sum(hash_record_extended(row({columns}), 0)::numeric) as digest
    from {live}
    group by 1
),

rebuilt as (
    select {key} as key, count(*) as row_count, sum(hash_record_extended(row({columns}), 0)::numeric) as digest
    from {rebuilt}
    group by 1
)

select coalesce(live.key, rebuilt.key) as key
from live
full join rebuilt on rebuilt.key = live.key
where
    (live.row_count, live.digest) is distinct from (rebuilt.row_count, rebuilt.digest)
    and not exists (select from {left_out} as l where l.{left_out_key} = coalesce(live.key, rebuilt.key))
