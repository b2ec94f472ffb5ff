-- What MusicBrainz says of the tracks that were played. Its core data (names, lengths, dates, MBIDs) is CC0; genres and
-- tags are CC BY-NC-SA 3.0, and whoever shows them says so.

-- Which recording a track was found to be. Tracks that were looked for in vain are in ops.recording_queue.
create table raw.found_recordings (
    -- No foreign key: contents are never deleted, and each key costs an import time.
    content_id int primary key,
    recording_mbid uuid not null,
    found_by text not null check (found_by in ('isrc', 'mbid', 'names')),
    found_at timestamptz not null
);
create index found_recordings_mbid on raw.found_recordings (recording_mbid);
comment on table raw.found_recordings is
'MusicBrainz'' recording of a track: what MYI found out, where raw.contents.recording_mbid is what a source said.';
comment on column raw.found_recordings.recording_mbid is 'As MusicBrainz has it now: of merged recordings the one that is left.';
comment on column raw.found_recordings.found_by is
'isrc: its recording code; mbid: what a source said; names: title, artist and length.';

-- No play moves by it: see 0010_62_genre_ledger.sql.
create function ops.mark_found_recordings() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id) select content_id from changed_rows order by content_id;
    return null;
end $$;
create trigger mark_inserted_recordings after insert on raw.found_recordings
referencing new table as changed_rows for each statement execute function ops.mark_found_recordings();
create trigger mark_deleted_recordings after delete on raw.found_recordings
referencing old table as changed_rows for each statement execute function ops.mark_found_recordings();

-- Found again, a year later, most recordings are the same.
create function ops.mark_other_recordings() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id)
    select n.content_id
    from new_rows as n
    inner join old_rows as o on o.content_id = n.content_id
    where o.recording_mbid <> n.recording_mbid
    order by n.content_id;
    return null;
end $$;
create trigger mark_updated_recordings after update on raw.found_recordings
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_other_recordings();

grant select, insert, update, delete on raw.found_recordings to {ingest};
grant select on raw.found_recordings to {dbt};
