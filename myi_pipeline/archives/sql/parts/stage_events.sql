-- One year of events with this installation's ids for what they name.
drop table if exists pg_temp.told_event;

create temporary table told_event as
select
    t.row_no,
    s.source_id,
    h.batch_id,
    h.batch is null or s.source_id is null or (r.content is not null and c.content_id is null)
    or (r.context is not null and x.context_id is null) as is_unknown,
    r.played_at,
    c.content_id,
    r.ms_played,
    r.occurrence,
    x.context_id,
    r.offline_at,
    r.shuffle,
    r.skipped,
    r.offline,
    r.incognito
from told_events as t
cross join lateral jsonb_to_record(t.told) as r (
    played_at timestamptz, source text, content uuid, ms_played int, occurrence smallint, context uuid,
    offline_at timestamptz, shuffle boolean, skipped boolean, offline boolean, incognito boolean, batch int
)
left join raw.sources as s on s.source = r.source
left join raw.contents as c on c.content_key = r.content
left join raw.contexts as x on x.context_key = r.context
left join batch_here as h on h.batch = r.batch;

analyze told_event;
