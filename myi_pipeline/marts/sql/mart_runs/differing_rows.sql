select
    count(*) over () as row_count,
    to_jsonb(surplus)::text as example
from (
    select {columns} from {one} where {key} in (select key from differing_keys)
    except all
    select {columns} from {other} where {key} in (select key from differing_keys)
) as surplus
limit %(examples)s
