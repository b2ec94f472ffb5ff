-- Deleting for good: a correction that deletes the selected plays from raw, and again when an archive contains them.
alter table app.corrections
add column for_good_at timestamptz,
add constraint for_good_deletes
check (for_good_at is null or (action = 'delete' and event_id is null and kind is null and note is null));
create index corrections_for_good on app.corrections (user_id) where for_good_at is not null and undone_at is null;
comment on column app.corrections.for_good_at is
'When the plays were deleted from raw. While this is in force, they are deleted again whenever they are imported.';

-- Selects by what the source reports of each event (time, artist, source), as mark_days_of_correction does.
create function ops.delete_for_good() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    contents int [];
begin
    if new.artist_id is not null then
        select coalesce(array_agg(c.content_id), '{}') into contents
        from raw.contents as c
        left join raw.content_aliases as a on a.content_id = c.content_id
        left join raw.contents as canonical on canonical.content_id = a.canonical_id
        where new.artist_id in (c.artist_id, canonical.artist_id);
    end if;
    delete from raw.listening_events as e
    where
        e.user_id = new.user_id
        and e.played_at >= coalesce(new.from_at, '-infinity') and e.played_at < coalesce(new.until_at, 'infinity')
        and (new.source_id is null or e.source_id = new.source_id)
        and (new.artist_id is null or e.content_id = any(contents));
    delete from raw.event_holders as h
    where
        h.user_id = new.user_id
        and h.played_at >= coalesce(new.from_at, '-infinity') and h.played_at < coalesce(new.until_at, 'infinity')
        and (new.source_id is null or h.source_id = new.source_id)
        and (new.artist_id is null or h.content_id = any(contents));
    return null;
end $$;
revoke all on function ops.delete_for_good() from public;
create trigger delete_for_good after insert on app.corrections
for each row when (new.for_good_at is not null and new.undone_at is null) execute function ops.delete_for_good();

-- After the insert and not instead of it: the accounting of an archive counts its rows as loaded. Later, it compares
-- them with raw, and gets from here how many of its rows are no longer there.
create function ops.delete_again() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    deleted bigint := 0;
begin
    if exists (select from app.corrections as c where c.for_good_at is not null and c.undone_at is null) then
        delete from raw.listening_events as e
        using new_rows as n
        inner join app.corrections as r on r.user_id = n.user_id and r.for_good_at is not null and r.undone_at is null
        where
            n.played_at >= coalesce(r.from_at, '-infinity') and n.played_at < coalesce(r.until_at, 'infinity')
            and (r.source_id is null or n.source_id = r.source_id)
            and (
                r.artist_id is null
                or exists (
                    select
                    from raw.contents as c
                    left join raw.content_aliases as a on a.content_id = c.content_id
                    left join raw.contents as canonical on canonical.content_id = a.canonical_id
                    where c.content_id = n.content_id and r.artist_id in (c.artist_id, canonical.artist_id)
                )
            )
            and e.user_id = n.user_id and e.played_at = n.played_at and e.source_id = n.source_id
            and e.content_id is not distinct from n.content_id and e.ms_played is not distinct from n.ms_played
            and e.occurrence = n.occurrence;
        get diagnostics deleted = row_count;
    end if;
    perform set_config('myi.deleted_again', deleted::text, true);
    return null;
end $$;
revoke all on function ops.delete_again() from public;
-- Runs after those that write to the change ledger: triggers fire in alphabetical order.
create trigger rows_deleted_for_good after insert on raw.listening_events
referencing new table as new_rows for each statement execute function ops.delete_again();

-- raw.event_holders records which archives contain certain rows, whether or not raw still has them.
create function ops.delete_holders_again() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from app.corrections as c where c.for_good_at is not null and c.undone_at is null) then
        delete from raw.event_holders as h
        using new_rows as n
        inner join app.corrections as r on r.user_id = n.user_id and r.for_good_at is not null and r.undone_at is null
        where
            n.played_at >= coalesce(r.from_at, '-infinity') and n.played_at < coalesce(r.until_at, 'infinity')
            and (r.source_id is null or n.source_id = r.source_id)
            and (
                r.artist_id is null
                or exists (
                    select
                    from raw.contents as c
                    left join raw.content_aliases as a on a.content_id = c.content_id
                    left join raw.contents as canonical on canonical.content_id = a.canonical_id
                    where c.content_id = n.content_id and r.artist_id in (c.artist_id, canonical.artist_id)
                )
            )
            and h.user_id = n.user_id and h.played_at = n.played_at and h.source_id = n.source_id
            and h.content_id is not distinct from n.content_id and h.ms_played is not distinct from n.ms_played
            and h.occurrence = n.occurrence;
    end if;
    return null;
end $$;
revoke all on function ops.delete_holders_again() from public;
create trigger holders_deleted_for_good after insert on raw.event_holders
referencing new table as new_rows for each statement execute function ops.delete_holders_again();
