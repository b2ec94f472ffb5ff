-- For rows of a chunk with the same moment and length as another row of this archive: records that this archive contains
-- them, if another one brought them, and in which of its exports they are, if it has several.
create temporary table shared_rows on commit drop as
select x.source_id, e.played_at, c.content_id, e.ms_played, r.occurrence::smallint as occurrence, r.export_no
from {load}_repeated_events as r
inner join {load}_events as e on e.row_id = r.row_id
inner join {load}_circumstance_ids as x on x.circumstance_no = e.circumstance_no
left join {load}_content_ids as c on c.content_no = e.content_no
where
    r.row_id between %(first_row)s and %(last_row)s
    and e.row_id between %(first_row)s and %(last_row)s
    and r.is_shared
    and (r.export_no > 0 or not r.is_identical);
analyze shared_rows;

-- Few rows of raw, each looked up by the unique key; see load_staged for why loops are otherwise off.
set local enable_nestloop = on;

insert into raw.event_holders (import_id, user_id, played_at, source_id, content_id, ms_played, occurrence)
select %(batch_id)s::int, l.user_id, l.played_at, l.source_id, l.content_id, l.ms_played, l.occurrence
from shared_rows as s
inner join raw.listening_events as l
    on
        l.user_id = %(user_id)s
        and l.played_at = s.played_at
        and l.source_id = s.source_id
        and l.content_id is not distinct from s.content_id
        and l.ms_played is not distinct from s.ms_played
        and l.occurrence = s.occurrence
where
    s.export_no = 0
    and l.batch_id <> %(batch_id)s
    and l.played_at between %(first_played_at)s and %(last_played_at)s
order by l.played_at, l.source_id, l.content_id, l.ms_played, l.occurrence
on conflict do nothing;

-- Whichever archive brought them: one connection may load a row from a file of one export while another connection
-- loads it from a file of another.
insert into raw.event_holders (import_id, export_no, user_id, played_at, source_id, content_id, ms_played, occurrence)
select distinct
    %(batch_id)s::int, export_no, %(user_id)s::int, played_at, source_id, content_id, ms_played, occurrence
from shared_rows
where export_no > 0
order by played_at, source_id, content_id, ms_played, occurrence
on conflict do nothing;
