with told as (
    select p.*
    from jsonb_to_recordset(%(contexts)s) as p (context_key uuid, platform text)
),

made as (
    insert into raw.contexts (context_key, platform)
    select t.context_key, t.platform
    from told as t
    where not exists (select from raw.contexts as c where c.context_key = t.context_key)
    order by t.context_key
    on conflict (context_key) do nothing
)

select count(*)
from told
