-- Which archives hold a row. Raw keeps a row once, under the archive that brought it first; that another archive holds it
-- too matters only where that archive holds a second row of the same moment and length: two rows of one archive are two
-- plays, even if only an id in one of them distinguishes them. So only such rows are noted, a few in ten thousand.
create table raw.event_holders (
    played_at timestamptz not null,
    user_id int not null,
    import_id int not null references app.imports on delete cascade,
    export_no smallint not null default 0,
    content_id int,
    ms_played int,
    source_id smallint not null,
    occurrence smallint not null,
    constraint event_holders_key
    unique nulls not distinct (user_id, played_at, import_id, export_no, source_id, content_id, ms_played, occurrence)
);
create index event_holders_import on raw.event_holders (import_id);
comment on table raw.event_holders is
'Rows of raw.listening_events that a later archive holds too, where it holds several of one moment and length; and all such
rows of an archive in which several exports lie.';
comment on column raw.event_holders.export_no is
'Which of several exports in the archive holds the row, from 1; 0 where there is one.';
comment on column raw.event_holders.import_id is 'The archive that holds the row; batch_id of the row is the one that brought it.';

-- Two plays may become one, or one two.
create trigger mark_inserted_days after insert on raw.event_holders
referencing new table as new_rows for each statement execute function ops.mark_new_days();
create trigger mark_deleted_days after delete on raw.event_holders
referencing old table as old_rows for each statement execute function ops.mark_old_days();

grant select, insert on raw.event_holders to {ingest};
grant select on raw.event_holders to {dbt};

comment on column raw.listening_events.batch_id is
'The import (app.imports) or poll that first brought the event; see raw.event_holders for others.';
