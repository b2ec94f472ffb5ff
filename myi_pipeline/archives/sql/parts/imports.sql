select
    i.import_id as batch,
    encode(i.sha256, 'hex') as sha256,
    i.archive_name,
    i.kind,
    i.status,
    i.attempt,
    i.error,
    i.warnings,
    i.covered_from,
    i.covered_to,
    i.bytes_total,
    i.bytes_read,
    i.rows_read,
    i.rows_loaded,
    i.rows_present,
    i.rows_identical,
    i.rows_quarantined,
    i.unknown_keys,
    i.time_zone,
    i.created_at,
    i.started_at,
    i.finished_at,
    (
        select json_agg(json_build_array(m.size_bytes, m.crc32) order by m.size_bytes, m.crc32)
        from app.import_members as m
        where m.import_id = i.import_id
    ) as members
from app.imports as i
where i.user_id = %(user_id)s
order by i.import_id
