-- The id here of each batch of the export: that of the archive if it is already here, else a new one, in the same
-- order.
drop table if exists pg_temp.batch_here;

create temporary table batch_here (batch int primary key, batch_id int not null, is_new boolean not null);

create temporary table told_import on commit drop as
select r.*
from told_archives_imports as t
cross join lateral jsonb_to_record(t.told) as r (
    batch int, sha256 text, archive_name text, kind text, status text, attempt int, error text, warnings text [],
    covered_from timestamptz, covered_to timestamptz, bytes_total bigint, bytes_read bigint, rows_read bigint,
    rows_loaded bigint, rows_present bigint, rows_identical bigint, rows_quarantined bigint, unknown_keys jsonb,
    time_zone text, created_at timestamptz, started_at timestamptz, finished_at timestamptz, members jsonb
);

insert into batch_here (batch, batch_id, is_new)
select i.batch, known.import_id, false
from told_import as i
inner join app.imports as known on known.user_id = %(user_id)s and known.sha256 = decode(i.sha256, 'hex');

insert into batch_here (batch, batch_id, is_new)
select numbered.batch, numbered.batch_id, true
from (
    select ordered.batch, nextval('raw.batch_id_seq')::int as batch_id
    from (
        select r.batch
        from told_archives_batches as t
        cross join lateral jsonb_to_record(t.told) as r (batch int)
        where not exists (select from batch_here as h where h.batch = r.batch)
        order by r.batch
    ) as ordered
) as numbered;

-- An archive is imported once its plays are: settle_imports marks it at the end. Until then it counts as failed, so
-- that uploading it again loads its plays. Nothing waits for the files of these archives.
insert into app.imports (
    import_id, user_id, sha256, archive_name, kind, status, attempt, error, warnings, covered_from, covered_to,
    bytes_total, bytes_read, rows_read, rows_loaded, rows_present, rows_identical, rows_quarantined, unknown_keys,
    time_zone, created_at, started_at, finished_at, is_refused
)
select
    h.batch_id,
    %(user_id)s,
    decode(i.sha256, 'hex'),
    i.archive_name,
    i.kind,
    'failed',
    i.attempt,
    case
        when i.status in ('completed', 'completed_with_errors') then %(not_in)s
        when i.status in ('pending', 'running') then 'it was not in yet when the export was made'
        else i.error
    end,
    coalesce(i.warnings, '{}'),
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
    case when i.status not in ('completed', 'completed_with_errors') then i.finished_at end,
    true
from told_import as i
inner join batch_here as h on h.batch = i.batch
where
    h.is_new
    -- An import that was still pending has brought nothing.
    and (i.status <> 'pending' or i.batch in (select (f.told ->> 'batch')::int from told_archives_import_files as f))
order by h.batch_id;

insert into app.import_members (import_id, size_bytes, crc32)
select h.batch_id, (member.told ->> 0)::bigint, (member.told ->> 1)::bigint
from told_import as i
inner join batch_here as h on h.batch = i.batch and h.is_new
inner join app.imports as brought on brought.import_id = h.batch_id
cross join lateral jsonb_array_elements(coalesce(i.members, '[]')) as member (told)
on conflict do nothing;

insert into app.import_files (
    import_id, attempt, file_no, file_name, kind, status, error, error_offset, rows_read, rows_loaded, rows_present,
    rows_identical, rows_quarantined, covered_from, covered_to
)
select
    h.batch_id,
    r.attempt,
    r.file_no,
    r.file_name,
    r.kind,
    r.status,
    r.error,
    r.error_offset,
    r.rows_read,
    r.rows_loaded,
    r.rows_present,
    r.rows_identical,
    r.rows_quarantined,
    r.covered_from,
    r.covered_to
from told_archives_import_files as t
cross join lateral jsonb_to_record(t.told) as r (
    batch int, attempt int, file_no int, file_name text, kind text, status text, error text, error_offset bigint,
    rows_read bigint, rows_loaded bigint, rows_present bigint, rows_identical bigint, rows_quarantined bigint,
    covered_from timestamptz, covered_to timestamptz
)
inner join batch_here as h on h.batch = r.batch and h.is_new
on conflict do nothing;

insert into ops.quarantine (
    user_id, import_id, file_no, file_name, row_index, reason, detail, row_content, due_at, whole_row, created_at
)
select
    %(user_id)s,
    h.batch_id,
    r.file_no,
    r.file_name,
    r.row_index,
    r.reason,
    r.detail,
    r.row_content,
    r.due_at,
    r.whole_row,
    r.created_at
from told_archives_quarantine as t
cross join lateral jsonb_to_record(t.told) as r (
    batch int, file_no int, file_name text, row_index bigint, reason text, detail text, row_content jsonb,
    due_at timestamptz, whole_row jsonb, created_at timestamptz
)
inner join batch_here as h on h.batch = r.batch and h.is_new
inner join app.imports as brought on brought.import_id = h.batch_id
order by t.row_no
on conflict do nothing;
