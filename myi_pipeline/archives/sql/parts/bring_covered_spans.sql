-- For archives whose files are known, ops.cover_user computes them again.
insert into raw.covered_spans (user_id, import_id, source_id, kind, package_id, covered_from, covered_to)
select %(user_id)s, h.batch_id, s.source_id, r.kind, coalesce(p.batch_id, r.package), r.covered_from, r.covered_to
from told_archives_covered_spans as t
cross join lateral jsonb_to_record(t.told) as r (
    batch int, source text, kind text, package int, covered_from timestamptz, covered_to timestamptz
)
inner join batch_here as h on h.batch = r.batch
inner join app.imports as i on i.import_id = h.batch_id
inner join raw.sources as s on s.source = r.source
left join batch_here as p on p.batch = r.package
where
    not exists (select from raw.covered_spans as known where known.import_id = h.batch_id)
order by t.row_no;
