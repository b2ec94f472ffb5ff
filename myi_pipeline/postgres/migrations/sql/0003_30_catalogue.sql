-- The catalogue: what Spotify itself says of artists, albums and tracks, and what it is still to be asked.

-- Archives know artists and albums by name alone; a URI is another way to the same row, and the only one to a second
-- artist of one name.
create unique index artists_uri on raw.artists (uri);
create unique index albums_uri on raw.albums (uri);
create index contents_artist on raw.contents (artist_id);
create index contents_album on raw.contents (album_id);

create table raw.pictures (
    entity_kind text not null check (entity_kind in ('artist', 'album')),
    entity_id int not null,
    place smallint not null check (place >= 0),
    url text not null check (url ~ '^https://'),
    width int check (width > 0),
    height int check (height > 0),
    primary key (entity_kind, entity_id, place)
);
comment on table raw.pictures is 'Addresses of pictures of artists and albums, in the order in which Spotify names them.';

-- A URI that is learnt moves no play and changes no row of a mart that is a table: marking every play of the artist
-- would recompute years of listening for nothing.
create or replace function ops.mark_contents_of_artists() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id)
    select c.content_id
    from new_rows as n
    inner join old_rows as o on o.artist_id = n.artist_id
    inner join raw.contents as c on c.artist_id = n.artist_id
    where o.name is distinct from n.name;
    return null;
end $$;

create or replace function ops.mark_contents_of_albums() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id)
    select c.content_id
    from new_rows as n
    inner join old_rows as o on o.album_id = n.album_id
    inner join raw.contents as c on c.album_id = n.album_id
    where o.name is distinct from n.name;
    return null;
end $$;

grant select, insert, update, delete on raw.pictures to {ingest};
grant select on raw.pictures to {dbt};

-- What Spotify is still to be asked about, one call each. Answered rows stay, so that nothing is asked twice.
create table ops.catalogue_queue (
    entity_kind text not null check (entity_kind in ('track', 'artist', 'album')),
    -- content_id, artist_id or album_id
    entity_id int not null,
    uri text not null check (uri ~ '^spotify:(track|artist|album):[0-9A-Za-z]{1,64}$'),
    -- Tracks first: their answers bring artists and albums along.
    place smallint not null generated always as (
        case entity_kind when 'track' then 1 when 'artist' then 2 else 3 end
    ) stored,
    plays bigint not null default 0,
    state text not null default 'waiting' check (state in ('waiting', 'answered', 'relinked', 'gone')),
    due_at timestamptz not null,
    failures int not null default 0 check (failures >= 0),
    lease_id uuid,
    leased_until timestamptz,
    last_error text,
    answered_at timestamptz,
    primary key (entity_kind, entity_id),
    check ((lease_id is null) = (leased_until is null)),
    check (state = 'waiting' or lease_id is null)
);
create index catalogue_queue_next on ops.catalogue_queue (place, plays desc, entity_id) where state = 'waiting';
comment on table ops.catalogue_queue is 'Contents, artists and albums to ask Spotify about, most played first.';
comment on column ops.catalogue_queue.leased_until is 'Until then one worker alone asks; whoever died lets go by it.';

create table ops.catalogue_state (
    only_row boolean primary key default true check (only_row),
    mart_run_id bigint,
    idle_until timestamptz
);
insert into ops.catalogue_state default values;
comment on column ops.catalogue_state.mart_run_id is 'The mart run from whose numbers of plays the queue was filled.';
comment on column ops.catalogue_state.idle_until is 'The quota says no before then; only schedules go by it.';

grant select, insert, update, delete on ops.catalogue_queue to {ingest};
grant select, update on ops.catalogue_state to {ingest};
grant select on ops.catalogue_queue to {monitor};
