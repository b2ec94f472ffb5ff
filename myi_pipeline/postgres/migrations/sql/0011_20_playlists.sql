-- Playlists of every service with their whole history. Nothing here is ever updated or deleted while its user is there:
-- whatever differs is a further version.
create table raw.playlists (
    playlist_id int generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    -- NULL: of a file.
    account_id int references app.provider_accounts on delete cascade,
    provider text not null check (provider in ('spotify', 'tidal', 'deezer', 'youtube_music', 'file')),
    provider_playlist text not null check (length(provider_playlist) between 1 and 400),
    first_seen_at timestamptz not null,
    unique nulls not distinct (user_id, account_id, provider_playlist),
    check ((account_id is null) = (provider = 'file'))
);
comment on table raw.playlists is 'Each playlist of each linked account, and of files; liked songs are one.';
comment on column raw.playlists.provider_playlist is 'The service''s own id of the playlist; "liked": liked songs.';

create table raw.playlist_versions (
    version_id bigint generated always as identity primary key,
    playlist_id int not null references raw.playlists on delete cascade,
    version_no int not null check (version_no > 0),
    seen_at timestamptz not null,
    state text not null check (state in ('readable', 'unreadable', 'gone')),
    name text not null,
    description text,
    owner_id text,
    owner_name text,
    is_public boolean,
    is_collaborative boolean,
    provider_version text,
    image_url text,
    url text,
    -- The ordered list; NULL: its entries were never read.
    items_key uuid,
    items int check (items >= 0),
    unique (playlist_id, version_no),
    check ((items_key is null) = (items is null))
);
comment on table raw.playlist_versions is
'A row whenever a playlist differed from its last version: its name, owner, visibility, entries, or whether it can be read.';
comment on column raw.playlist_versions.state is
'readable; unreadable: the service lists it and refuses its entries; gone: it is in the account''s library no longer.';
comment on column raw.playlist_versions.provider_version is
'What the service says changes with every change (Spotify''s snapshot_id); no version is written for it alone.';

-- By whom an unchanged list was last seen, so that it need not be read again. It may be lost: then each list is read once.
create table ops.playlist_reads (
    playlist_id int primary key references raw.playlists on delete cascade,
    provider_version text,
    permission text,
    read_at timestamptz not null
);
comment on table ops.playlist_reads is
'What the service called the state of each playlist when it was last read whole, or refused; and when that was.';
comment on column ops.playlist_reads.permission is
'What the service told then of who may read it, and what the login allowed of a refused one.';

create table raw.playlist_items (
    playlist_id int not null references raw.playlists on delete cascade,
    items_key uuid not null,
    position int not null check (position >= 0),
    kind text not null check (kind in ('track', 'episode', 'video', 'local', 'removed')),
    -- Without a foreign key, as in raw.listening_events: ops.keep_names sees to it.
    content_id int,
    added_at timestamptz,
    added_by text,
    item_id text,
    -- What the service told of an entry that has no content.
    original jsonb,
    primary key (playlist_id, items_key, position)
);
create index playlist_items_content on raw.playlist_items (content_id) where content_id is not null;
comment on table raw.playlist_items is
'The entries of each distinct ordered list that a playlist has been, once, in order from position 0; items_key is a digest of it.';

grant select, insert on raw.playlists, raw.playlist_versions, raw.playlist_items to {ingest};
grant select on raw.playlists, raw.playlist_versions, raw.playlist_items to {dbt};
grant select, insert, update, delete on ops.playlist_reads to {ingest};

create table ops.playlist_gatherings (
    gathering_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    account_id int references app.provider_accounts on delete cascade,
    started_at timestamptz not null,
    finished_at timestamptz,
    outcome text not null default 'running' check (outcome in ('running', 'gathered', 'partly', 'failed')),
    lists_seen int not null default 0,
    lists_read int not null default 0,
    unchanged int not null default 0,
    unreadable int not null default 0,
    failed int not null default 0,
    gone int not null default 0,
    new_versions int not null default 0,
    items_read int not null default 0,
    error text,
    correlation_id text,
    constraint lists_are_accounted_for check (
        outcome not in ('gathered', 'partly') or lists_seen = lists_read + unchanged + unreadable + failed
    )
);
create index playlist_gatherings_account on ops.playlist_gatherings (account_id, started_at);
create index playlist_gatherings_age on ops.playlist_gatherings (started_at);
comment on table ops.playlist_gatherings is
'The log of gatherings: lists seen = read + unchanged + unreadable + failed. It may be pruned at any time.';

create table ops.playlist_states (
    account_id int primary key references app.provider_accounts on delete cascade,
    gathered_at timestamptz,
    due_at timestamptz,
    failures int not null default 0 check (failures >= 0),
    last_error text
);
comment on table ops.playlist_states is 'When the playlists of each account were last gathered, and are due.';
grant select, insert, update, delete on ops.playlist_gatherings, ops.playlist_states to {ingest};

-- The change ledger's rows for playlists.
create table ops.changed_playlists (
    change_id bigint generated always as identity primary key,
    playlist_id int not null,
    user_id int not null,
    changed_at timestamptz not null default clock_timestamp()
);
comment on table ops.changed_playlists is 'Playlists that have a new version or are gone with their user; no play of theirs moves.';
grant select, delete on ops.changed_playlists to {dbt};
grant select on ops.changed_playlists to {ingest};

create function ops.mark_playlists() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_playlists (playlist_id, user_id)
    select distinct c.playlist_id, c.user_id from changed_rows as c;
    return null;
end $$;
create function ops.mark_playlist_versions() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_playlists (playlist_id, user_id)
    select distinct p.playlist_id, p.user_id
    from changed_rows as c
    inner join raw.playlists as p on p.playlist_id = c.playlist_id;
    return null;
end $$;
create trigger mark_inserted_playlists after insert on raw.playlists
referencing new table as changed_rows for each statement execute function ops.mark_playlists();
create trigger mark_deleted_playlists after delete on raw.playlists
referencing old table as changed_rows for each statement execute function ops.mark_playlists();
create trigger mark_inserted_versions after insert on raw.playlist_versions
referencing new table as changed_rows for each statement execute function ops.mark_playlist_versions();
create trigger mark_deleted_versions after delete on raw.playlist_versions
referencing old table as changed_rows for each statement execute function ops.mark_playlist_versions();
