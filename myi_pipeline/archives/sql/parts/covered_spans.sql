select s.import_id as batch, t.source, s.kind, s.package_id as package, s.covered_from, s.covered_to
from raw.covered_spans as s
inner join raw.sources as t on t.source_id = s.source_id
where s.user_id = %(user_id)s
order by s.kind, s.covered_from, s.import_id
