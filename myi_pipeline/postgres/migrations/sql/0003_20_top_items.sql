-- Spotify's own top lists, a snapshot a day: what was said of (user, UTC day, kind, term) last on that day.
create table raw.top_items (
    user_id int not null references app.users on delete cascade,
    taken_on date not null,
    entity_kind text not null check (entity_kind in ('track', 'artist')),
    term text not null check (term in ('short_term', 'medium_term', 'long_term')),
    rank smallint not null check (rank between 1 and 50),
    content_id int check ((content_id is not null) = (entity_kind = 'track')),
    artist_id int check ((artist_id is not null) = (entity_kind = 'artist')),
    taken_at timestamptz not null check (taken_on = (taken_at at time zone 'UTC')::date),
    primary key (user_id, taken_on, entity_kind, term, rank)
);
create index top_items_content on raw.top_items (content_id) where content_id is not null;
comment on table raw.top_items is 'Spotify''s top lists of its listeners; a rank whose item could not be understood is missing.';

-- A snapshot changes its user's day, like a play: whoever the writer is, the ledger hears of it.
create function ops.mark_new_snapshots() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_days (user_id, utc_day) select distinct user_id, taken_on from new_rows;
    return null;
end $$;
create function ops.mark_old_snapshots() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_days (user_id, utc_day) select distinct user_id, taken_on from old_rows;
    return null;
end $$;
create function ops.mark_both_snapshots() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_days (user_id, utc_day)
    select user_id, taken_on from old_rows
    union
    select user_id, taken_on from new_rows;
    return null;
end $$;
create trigger mark_new_snapshots after insert on raw.top_items
referencing new table as new_rows for each statement execute function ops.mark_new_snapshots();
create trigger mark_old_snapshots after delete on raw.top_items
referencing old table as old_rows for each statement execute function ops.mark_old_snapshots();
create trigger mark_both_snapshots after update on raw.top_items
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_both_snapshots();

create table ops.top_refreshes (
    user_id int primary key references app.users on delete cascade,
    refreshed_at timestamptz,
    failures int not null default 0 check (failures >= 0),
    retry_at timestamptz,
    last_error text
);
comment on table ops.top_refreshes is 'When all of a user''s top lists were last read, and why the last try failed if it did.';

grant select, insert, update, delete on raw.top_items, ops.top_refreshes to {ingest};
grant select on raw.top_items to {dbt};
grant select on ops.top_refreshes to {monitor};
