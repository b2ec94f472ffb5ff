analyze {load}_circumstances;

with wanted as (
    select distinct on (context_key) context_key, platform, conn_country, reason_start, reason_end
    from {load}_circumstances
    where context_key is not null
    order by context_key
)
insert into raw.contexts (context_key, platform, conn_country, reason_start, reason_end)
select w.context_key, w.platform, w.conn_country, w.reason_start, w.reason_end
from wanted as w
where not exists (select from raw.contexts as c where c.context_key = w.context_key)
order by w.context_key
on conflict (context_key) do nothing;

insert into {load}_circumstance_ids (
    circumstance_no, source_id, context_id, context_key, shuffle, skipped, offline, incognito
)
select s.circumstance_no, s.source_id, c.context_id, s.context_key, s.shuffle, s.skipped, s.offline, s.incognito
from {load}_circumstances as s
left join raw.contexts as c on c.context_key = s.context_key;
analyze {load}_circumstance_ids;
