-- The fence: every transaction that writes marts begins with ops.check_fence(its run). It holds the fence row until it
-- commits, so that a new run, which must change that row, waits for it; whoever comes after the change is refused.
create function ops.check_fence(wanted_run bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    holder bigint;
begin
    select f.run_id into holder from ops.mart_fence as f for share;
    if holder is distinct from wanted_run then
        raise exception 'mart run % is fenced off: run % has taken over', wanted_run, holder
            using errcode = 'object_not_in_prerequisite_state';
    end if;
end $$;
revoke all on function ops.check_fence(bigint) from public;
grant execute on function ops.check_fence(bigint) to {dbt};

-- A renamed artist or album is a change of each content that names it.
create function ops.mark_contents_of_artists() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id)
    select c.content_id
    from new_rows as n
    inner join old_rows as o on o.artist_id = n.artist_id
    inner join raw.contents as c on c.artist_id = n.artist_id
    where (o.name, o.uri) is distinct from (n.name, n.uri);
    return null;
end $$;
create trigger mark_contents_of_artists after update on raw.artists
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_contents_of_artists();

create function ops.mark_contents_of_albums() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id)
    select c.content_id
    from new_rows as n
    inner join old_rows as o on o.album_id = n.album_id
    inner join raw.contents as c on c.album_id = n.album_id
    where (o.name, o.uri, o.artist_id) is distinct from (n.name, n.uri, n.artist_id);
    return null;
end $$;
create trigger mark_contents_of_albums after update on raw.albums
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_contents_of_albums();

-- Only an owner may analyze; the tables that steer a mart run change wholly from one run to the next.
create function ops.analyze_mart_run() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    analyze ops.mart_run_changes, ops.mart_run_days, ops.mart_run_contents, ops.mart_run_users;
end $$;
create function ops.analyze_touched() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    analyze ops.touched_dates, ops.touched_entities;
end $$;
revoke all on function ops.analyze_mart_run(), ops.analyze_touched() from public;
grant execute on function ops.analyze_mart_run(), ops.analyze_touched() to {dbt};
