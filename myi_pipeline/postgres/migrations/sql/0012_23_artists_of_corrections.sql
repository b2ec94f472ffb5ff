-- A correction refers to its artist by id, and one that deletes for good must recognise the artist later. So the row of
-- an artist is kept as long as any correction refers to it, no matter who is erased.
create index corrections_artist on app.corrections (artist_id) where artist_id is not null;

create function ops.keep_corrected_artist() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from app.corrections as c where c.artist_id = old.artist_id) then
        return null;
    end if;
    return old;
end $$;
revoke all on function ops.keep_corrected_artist() from public;
create trigger keep_corrected_artist before delete on raw.artists
for each row execute function ops.keep_corrected_artist();

create function ops.begin_removal_of_corrections() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    removal bigint;
begin
    select r.removal_id into removal from ops.removals as r where r.user_id = old.user_id;
    insert into ops.orphans (entity_kind, entity_id, removal_id)
    select distinct 'artist', c.artist_id, removal
    from app.corrections as c
    inner join raw.artists as a on a.artist_id = c.artist_id
    where c.user_id = old.user_id
    on conflict (entity_kind, entity_id) do update
        set removal_id = excluded.removal_id, deleted_at = null;
    return old;
end $$;
revoke all on function ops.begin_removal_of_corrections() from public;
-- Runs after begin_removal: triggers fire in alphabetical order.
create trigger begin_removal_of_corrections before delete on app.users
for each row execute function ops.begin_removal_of_corrections();
