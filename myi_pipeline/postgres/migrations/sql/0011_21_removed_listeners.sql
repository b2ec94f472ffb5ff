-- Removing a user: names that only their playlists have go with them; a name that somebody's playlist has stays.
create function ops.begin_removal_of_playlists() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    removal bigint;
begin
    select r.removal_id into removal from ops.removals as r where r.user_id = old.user_id;
    insert into ops.orphans (entity_kind, entity_id, removal_id)
    select 'content', i.content_id, removal
    from raw.playlists as p
    inner join raw.playlist_items as i on i.playlist_id = p.playlist_id
    where p.user_id = old.user_id and i.content_id is not null
    union
    select 'artist', c.artist_id, removal
    from raw.playlists as p
    inner join raw.playlist_items as i on i.playlist_id = p.playlist_id
    inner join raw.contents as c on c.content_id = i.content_id
    where p.user_id = old.user_id and c.artist_id is not null
    on conflict (entity_kind, entity_id) do update
        set removal_id = excluded.removal_id, deleted_at = null;
    return old;
end $$;
-- After begin_removal: triggers fire in the order of their names.
create trigger begin_removal_of_playlists before delete on app.users
for each row execute function ops.begin_removal_of_playlists();

create function ops.keep_listed_names() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from ops.orphans) then
        perform ops.keep_names(array_agg('content'::text), array_agg(named.content_id))
        from (select distinct n.content_id from new_rows as n where n.content_id is not null) as named;
    end if;
    return null;
end $$;
create trigger keep_listed_names after insert on raw.playlist_items
referencing new table as new_rows for each statement execute function ops.keep_listed_names();

create or replace function ops.find_orphans(removal bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    state ops.removals;
begin
    select * into state from ops.removals as r where r.removal_id = removal for update;
    if state.orphans_found_at is not null then
        return true;
    end if;
    if state.horizon is null then
        update ops.removals as r set horizon = pg_snapshot_xmax(pg_current_snapshot())::text where r.removal_id = removal;
        return false;
    end if;
    if pg_snapshot_xmin(pg_current_snapshot()) < state.horizon::xid8 then
        return false;
    end if;
    -- The same when there is nobody else: then nothing is read.
    if exists (select from app.users) then
        delete from ops.orphans as o
        where
            o.removal_id = removal and o.deleted_at is null and o.entity_kind = 'content'
            and (
                o.entity_id in (select e.content_id from raw.listening_events as e)
                or exists (select from raw.top_items as t where t.content_id = o.entity_id)
                or exists (select from raw.playlist_items as i where i.content_id = o.entity_id)
            );
        delete from ops.orphans as o
        where
            o.removal_id = removal and o.deleted_at is null and o.entity_kind = 'context'
            and o.entity_id in (select e.context_id from raw.listening_events as e);
        delete from ops.orphans as o
        where
            o.removal_id = removal and o.deleted_at is null and o.entity_kind = 'artist'
            and exists (select from raw.top_items as t where t.artist_id = o.entity_id);
    end if;
    update ops.removals as r set orphans_found_at = now() where r.removal_id = removal;
    return true;
end $$;
