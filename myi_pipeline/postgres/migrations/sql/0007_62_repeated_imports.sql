-- An archive that is in stays so while it is imported again: what its row, its files and its quarantine said is kept
-- aside until the new attempt is complete, and comes back when that fails or dies.
alter table app.imports add column completed_before jsonb;
comment on column app.imports.completed_before is
'While a completed archive is imported again: this row as it was.';

create table ops.quarantine_before (like ops.quarantine);
alter table ops.quarantine_before
add primary key (quarantine_id),
add foreign key (import_id) references app.imports on delete cascade;
create index quarantine_before_import on ops.quarantine_before (import_id);
comment on table ops.quarantine_before is
'The quarantine of completed archives that are being imported again; empty but for those.';
grant select, insert, delete on ops.quarantine_before to {ingest};

-- By trigger, because an attempt ends in more than one way: it fails, or somebody finds it dead. Plays that it loaded stay.
create function app.restore_completed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    reason text = coalesce(new.error, 'it was given up');
begin
    new = jsonb_populate_record(
        new, old.completed_before - array['archive_name', 'upload_name', 'seen_as', 'waiting_since', 'request_id', 'confirmation']
    );
    new.completed_before = null;
    new.warnings = array_append(
        array(select w from unnest(new.warnings) as w where w not like 'a later attempt to import it again failed: %'),
        'a later attempt to import it again failed: ' || reason
    );
    delete from app.import_files where import_id = old.import_id and attempt > new.attempt;
    delete from ops.quarantine where import_id = old.import_id;
    insert into ops.quarantine overriding system value
    select * from ops.quarantine_before where import_id = old.import_id;
    delete from ops.quarantine_before where import_id = old.import_id;
    return new;
end $$;
create trigger restore_completed before update of status on app.imports
for each row
when (
    old.completed_before is not null and new.completed_before is not null and new.status in ('failed', 'pending')
)
execute function app.restore_completed();
