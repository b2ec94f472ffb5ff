-- The change ledger: every transaction that changes events says, in the same transaction, which days it touched.
-- No foreign key: the days of a deleted user must still leave the marts.
create table ops.changed_days (
    change_id bigint generated always as identity primary key,
    user_id int not null,
    utc_day date not null,
    changed_at timestamptz not null default clock_timestamp()
);
comment on table ops.changed_days is 'Open (user, UTC day) pairs: what the next mart run recomputes. Rows are deleted by id when it has.';

create table ops.changed_contents (
    change_id bigint generated always as identity primary key,
    content_id int not null,
    changed_at timestamptz not null default clock_timestamp()
);
comment on table ops.changed_contents is 'Contents whose names, artist, album, duration or alias changed, or that are new.';

create table ops.changed_users (
    change_id bigint generated always as identity primary key,
    user_id int not null,
    -- everything: each of the user's plays moves (time zone, deletion); coverage: only fct_coverage_gaps; profile: only dim_users.
    scope text not null check (scope in ('everything', 'coverage', 'profile')),
    changed_at timestamptz not null default clock_timestamp()
);
comment on table ops.changed_users is 'Users whose settings or covered spans changed.';

create function ops.mark_new_days() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_days (user_id, utc_day)
    select distinct user_id, (played_at at time zone 'UTC')::date from new_rows;
    return null;
end $$;

create function ops.mark_old_days() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_days (user_id, utc_day)
    select distinct user_id, (played_at at time zone 'UTC')::date from old_rows;
    return null;
end $$;

create function ops.mark_both_days() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_days (user_id, utc_day)
    select user_id, (played_at at time zone 'UTC')::date from old_rows
    union
    select user_id, (played_at at time zone 'UTC')::date from new_rows;
    return null;
end $$;

create trigger mark_inserted_days after insert on raw.listening_events
referencing new table as new_rows for each statement execute function ops.mark_new_days();
create trigger mark_deleted_days after delete on raw.listening_events
referencing old table as old_rows for each statement execute function ops.mark_old_days();
create trigger mark_updated_days after update on raw.listening_events
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_both_days();
create trigger refuse_truncate before truncate on raw.listening_events
for each statement execute function ops.refuse_truncate();

-- Users: the ledger row is written by trigger too, so that no writer can forget it.
create function ops.mark_user() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        -- Raw has no foreign key to users (it would cost every insert): whoever deletes a user deletes the events here.
        delete from raw.listening_events where user_id = old.user_id;
        delete from raw.covered_spans where user_id = old.user_id;
        delete from ops.quarantine where user_id = old.user_id;
        insert into ops.changed_users (user_id, scope) values (old.user_id, 'everything');
    elsif tg_op = 'UPDATE' and old.time_zone is distinct from new.time_zone then
        insert into ops.changed_users (user_id, scope) values (new.user_id, 'everything');
    else
        insert into ops.changed_users (user_id, scope) values (new.user_id, 'profile');
    end if;
    return null;
end $$;
create trigger mark_user after insert or update or delete on app.users
for each row execute function ops.mark_user();

create function ops.mark_coverage() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_users (user_id, scope) values (coalesce(new.user_id, old.user_id), 'coverage');
    return null;
end $$;
create trigger mark_coverage after insert or update or delete on raw.covered_spans
for each row execute function ops.mark_coverage();

-- Contents and aliases: both the old canonical content and the new one, since plays move between them.
create function ops.mark_new_contents() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id) select content_id from new_rows;
    return null;
end $$;
create function ops.mark_renamed_contents() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id)
    select n.content_id
    from new_rows as n
    inner join old_rows as o on o.content_id = n.content_id
    where (o.uri, o.title, o.creator, o.collection, o.match_title, o.artist_id, o.album_id, o.duration_ms, o.isrc)
        is distinct from (n.uri, n.title, n.creator, n.collection, n.match_title, n.artist_id, n.album_id, n.duration_ms, n.isrc);
    return null;
end $$;
create trigger mark_new_contents after insert on raw.contents
referencing new table as new_rows for each statement execute function ops.mark_new_contents();
create trigger mark_renamed_contents after update on raw.contents
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_renamed_contents();

create function ops.mark_alias() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op in ('UPDATE', 'DELETE') then
        insert into ops.changed_contents (content_id) values (old.content_id), (old.canonical_id);
    end if;
    if tg_op in ('INSERT', 'UPDATE') then
        insert into ops.changed_contents (content_id) values (new.content_id), (new.canonical_id);
    end if;
    return null;
end $$;
create trigger mark_alias after insert or update or delete on raw.content_aliases
for each row execute function ops.mark_alias();

grant select, delete on ops.changed_days, ops.changed_contents, ops.changed_users to {dbt};
grant insert on ops.changed_days, ops.changed_users to {dbt};
grant select on ops.changed_days, ops.changed_contents, ops.changed_users to {ingest}, {monitor};
