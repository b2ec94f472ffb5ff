insert into raw.event_holders (import_id, export_no, user_id, played_at, source_id, content_id, ms_played, occurrence)
select h.batch_id, r.export_no, %(user_id)s, r.played_at, s.source_id, c.content_id, r.ms_played, r.occurrence
from told_archives_holders as t
cross join lateral jsonb_to_record(t.told) as r (
    batch int, export_no smallint, played_at timestamptz, source text, content uuid, ms_played int, occurrence smallint
)
inner join batch_here as h on h.batch = r.batch
inner join app.imports as i on i.import_id = h.batch_id
inner join raw.sources as s on s.source = r.source
left join raw.contents as c on c.content_key = r.content
order by t.row_no
on conflict do nothing;
