-- Removing a user: what is left to clear away after the rows are gone, and names that only that user played.
create table ops.removals (
    removal_id bigint generated always as identity primary key,
    user_id int not null unique,
    user_key text not null,
    removed_at timestamptz not null default now(),
    -- False when the same person begins again under the key.
    holds_key boolean not null default true,
    horizon text,
    orphans_found_at timestamptz,
    files_deleted_at timestamptz,
    names_deleted_at timestamptz,
    last_error text
);
create index removals_key on ops.removals (user_key);
comment on table ops.removals is
'Users who are removed and of whom something is left: files, names, rows of marts, a partition. The row goes with the last of it.';
comment on column ops.removals.horizon is 'Transactions below this number may still add plays of contents that looked unused.';

-- Contents, artists and contexts that a removed user''s rows named. A deleted one stays here for some days, so that
-- whoever looked it up just before finds out.
create table ops.orphans (
    entity_kind text not null check (entity_kind in ('content', 'artist', 'context')),
    entity_id int not null,
    removal_id bigint not null,
    deleted_at timestamptz,
    primary key (entity_kind, entity_id)
);
create index orphans_removal on ops.orphans (removal_id) where deleted_at is null;
comment on table ops.orphans is 'What a removed user''s rows named and perhaps nobody else''s; see ops.delete_orphans.';

-- Before, because the imports of the user go with the row.
create function ops.begin_removal() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    removal bigint;
begin
    insert into ops.removals (user_id, user_key) values (old.user_id, old.user_key)
    returning removal_id into removal;
    insert into ops.orphans (entity_kind, entity_id, removal_id)
    select 'content', e.content_id, removal
    from raw.listening_events as e
    where e.user_id = old.user_id and e.content_id is not null
    union
    select 'context', e.context_id, removal
    from raw.listening_events as e
    where e.user_id = old.user_id and e.context_id is not null
    union
    select 'content', t.content_id, removal
    from raw.top_items as t
    where t.user_id = old.user_id and t.content_id is not null
    union
    select 'artist', t.artist_id, removal
    from raw.top_items as t
    where t.user_id = old.user_id and t.artist_id is not null
    union
    -- Names that an import stored before it died.
    select 'content', c.content_id, removal
    from raw.contents as c
    where c.names_batch_id in (
        select i.import_id from app.imports as i where i.user_id = old.user_id
        union all
        select p.poll_id from ops.polls as p where p.user_id = old.user_id
    )
    on conflict (entity_kind, entity_id) do update
        set removal_id = excluded.removal_id, deleted_at = null;
    -- What they go by, and what goes by them.
    insert into ops.orphans (entity_kind, entity_id, removal_id)
    select 'content', a.canonical_id, removal
    from ops.orphans as o
    inner join raw.content_aliases as a on a.content_id = o.entity_id
    where o.removal_id = removal and o.entity_kind = 'content'
    union
    select 'content', a.content_id, removal
    from ops.orphans as o
    inner join raw.content_aliases as a on a.canonical_id = o.entity_id
    where o.removal_id = removal and o.entity_kind = 'content'
    on conflict (entity_kind, entity_id) do update
        set removal_id = excluded.removal_id, deleted_at = null;
    insert into ops.orphans (entity_kind, entity_id, removal_id)
    select 'artist', c.artist_id, removal
    from ops.orphans as o
    inner join raw.contents as c on c.content_id = o.entity_id
    where o.removal_id = removal and o.entity_kind = 'content' and c.artist_id is not null
    union
    select 'artist', b.artist_id, removal
    from ops.orphans as o
    inner join raw.contents as c on c.content_id = o.entity_id
    inner join raw.albums as b on b.album_id = c.album_id
    where o.removal_id = removal and o.entity_kind = 'content'
    on conflict (entity_kind, entity_id) do update
        set removal_id = excluded.removal_id, deleted_at = null;
    return old;
end $$;
create trigger begin_removal before delete on app.users
for each row execute function ops.begin_removal();

create function ops.refuse_held_key() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from ops.removals as r where r.user_key = new.user_key and r.holds_key) then
        raise exception using
            errcode = 'MYI01',
            message = 'the removal of the user who had this key is not finished';
    end if;
    return new;
end $$;
create trigger refuse_held_key before insert or update of user_key on app.users
for each row execute function ops.refuse_held_key();

-- A transaction that adds a play of a content keeps the content. The row locks make this and ops.delete_orphans wait for each
-- other; who comes second and finds the content deleted repeats its transaction, and looks the names up again.
create function ops.keep_names(kinds text [], ids int []) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    is_deleted boolean;
begin
    with kept as (
        delete from ops.orphans as o
        using unnest(kinds, ids) as named (entity_kind, entity_id)
        where o.entity_kind = named.entity_kind and o.entity_id = named.entity_id
        returning o.deleted_at
    )
    select bool_or(kept.deleted_at is not null) into is_deleted from kept;
    if is_deleted then
        raise exception using
            errcode = 'serialization_failure',
            message = 'a name was deleted after it had been looked up: look it up again';
    end if;
end $$;
revoke all on function ops.keep_names(text [], int []) from public;

create function ops.keep_played_names() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from ops.orphans) then
        perform ops.keep_names(array_agg(named.entity_kind), array_agg(named.entity_id))
        from (
            select 'content' as entity_kind, n.content_id as entity_id from new_rows as n where n.content_id is not null
            union
            select 'context', n.context_id from new_rows as n where n.context_id is not null
        ) as named;
    end if;
    return null;
end $$;
create trigger keep_played_names after insert on raw.listening_events
referencing new table as new_rows for each statement execute function ops.keep_played_names();

create function ops.keep_ranked_names() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from ops.orphans) then
        perform ops.keep_names(array_agg(named.entity_kind), array_agg(named.entity_id))
        from (
            select 'content' as entity_kind, n.content_id as entity_id from new_rows as n where n.content_id is not null
            union
            select 'artist', n.artist_id from new_rows as n where n.artist_id is not null
        ) as named;
    end if;
    return null;
end $$;
create trigger keep_ranked_names after insert on raw.top_items
referencing new table as new_rows for each statement execute function ops.keep_ranked_names();

-- Which of a removal''s orphans are played by somebody after all: one pass over all events, when no transaction is left
-- that may have added one before the orphans were there.
create function ops.find_orphans(removal bigint) returns boolean
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

-- Deletes up to so many of a removal''s orphans, after ops.find_orphans has passed, with the albums, artists and pictures
-- that nothing else names. Under the lock of intern_contents, so that no other process hands them out meanwhile. Returns the
-- match_key of each deleted content: names that matched it must be matched again (catalogue/load/alias_names).
create function ops.delete_orphans(removal bigint, most int) returns setof uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    contents int [];
    contexts int [];
    artists int [];
    albums int [];
    urls text [];
begin
    perform pg_advisory_xact_lock(hashtext('myi.intern_contents'));
    -- Artists last: contents and albums name them.
    with chosen as (
        select o.entity_kind, o.entity_id
        from ops.orphans as o
        where
            o.removal_id = removal and o.deleted_at is null
            -- Somebody asks Spotify about it at this moment, and would store it again.
            and not exists (
                select from ops.catalogue_queue as q
                where
                    q.entity_kind = case o.entity_kind when 'content' then 'track' else o.entity_kind end
                    and q.entity_id = o.entity_id and q.leased_until > now()
            )
            and (
                o.entity_kind <> 'artist'
                or not exists (
                    select from ops.orphans as others
                    where others.removal_id = removal and others.deleted_at is null and others.entity_kind <> 'artist'
                )
            )
        order by o.entity_kind desc, o.entity_id
        limit most
        for update of o
    )
    select
        coalesce(array_agg(entity_id) filter (where entity_kind = 'content'), '{}'),
        coalesce(array_agg(entity_id) filter (where entity_kind = 'context'), '{}'),
        coalesce(array_agg(entity_id) filter (where entity_kind = 'artist'), '{}')
    into contents, contexts, artists
    from chosen;

    -- A content that another one goes by stays with it.
    delete from raw.content_aliases as a where a.content_id = any(contents);
    with needed as (
        delete from ops.orphans as o
        where
            o.entity_kind = 'content' and o.entity_id = any(contents)
            and exists (
                select from raw.content_aliases as a
                where
                    a.canonical_id = o.entity_id
                    and not exists (
                        select from ops.orphans as also
                        where also.entity_kind = 'content' and also.entity_id = a.content_id and also.deleted_at is null
                    )
            )
        returning o.entity_id
    )
    select coalesce(array_agg(c), '{}') into contents
    from unnest(contents) as c
    where
        c not in (select n.entity_id from needed as n)
        -- Its alias is an orphan of a later batch.
        and not exists (select from raw.content_aliases as a where a.canonical_id = c);

    select coalesce(array_agg(distinct c.album_id), '{}') into albums
    from raw.contents as c
    where c.content_id = any(contents) and c.album_id is not null;
    return query
        select distinct c.match_key from raw.contents as c where c.content_id = any(contents);
    delete from raw.contents as c where c.content_id = any(contents);
    -- The marts drop what raw has no more.
    insert into ops.changed_contents (content_id) select unnest(contents);

    delete from raw.contexts as x where x.context_id = any(contexts);
    with gone as (
        delete from raw.albums as b
        where b.album_id = any(albums) and not exists (select from raw.contents as c where c.album_id = b.album_id)
        returning b.album_id
    )
    select coalesce(array_agg(g.album_id), '{}') into albums from gone as g;
    with gone as (
        delete from raw.artists as a
        where
            a.artist_id = any(artists)
            and not exists (select from raw.contents as c where c.artist_id = a.artist_id)
            and not exists (select from raw.albums as b where b.artist_id = a.artist_id)
            and not exists (select from raw.top_items as t where t.artist_id = a.artist_id)
        returning a.artist_id
    ),

    kept as (
        delete from ops.orphans as o
        where
            o.entity_kind = 'artist' and o.entity_id = any(artists)
            and o.entity_id not in (select g.artist_id from gone as g)
    )
    select coalesce(array_agg(g.artist_id), '{}') into artists from gone as g;

    with gone as (
        delete from raw.pictures as p
        where
            (p.entity_kind = 'album' and p.entity_id = any(albums))
            or (p.entity_kind = 'artist' and p.entity_id = any(artists))
        returning p.url
    )
    select coalesce(array_agg(distinct g.url), '{}') into urls from gone as g;
    select coalesce(array_agg(u), '{}') into urls
    from unnest(urls) as u
    where not exists (select from raw.pictures as p where p.url = u);
    delete from ops.picture_fetches as f where f.url = any(urls);
    with gone as (
        delete from raw.kept_pictures as k where k.url = any(urls) returning k.digest
    )
    delete from raw.picture_files as f
    using gone as g
    where
        f.digest = g.digest
        and not exists (select from raw.kept_pictures as k where k.digest = g.digest and not (k.url = any(urls)));

    delete from ops.catalogue_queue as q
    where
        (q.entity_kind = 'track' and q.entity_id = any(contents))
        or (q.entity_kind = 'album' and q.entity_id = any(albums))
        or (q.entity_kind = 'artist' and q.entity_id = any(artists));

    update ops.orphans as o set deleted_at = now()
    where
        (o.entity_kind = 'content' and o.entity_id = any(contents))
        or (o.entity_kind = 'context' and o.entity_id = any(contexts))
        or (o.entity_kind = 'artist' and o.entity_id = any(artists));
end $$;

revoke all on function ops.find_orphans(bigint), ops.delete_orphans(bigint, int) from public;
grant execute on function ops.find_orphans(bigint), ops.delete_orphans(bigint, int) to {ingest};
create index albums_artist on raw.albums (artist_id);
create index top_items_artist on raw.top_items (artist_id) where artist_id is not null;
create index pictures_url on raw.pictures (url);

grant select, update, delete on ops.removals to {ingest};
grant select, delete on ops.orphans to {ingest};
grant select (user_key, holds_key) on ops.removals to {app};
