-- Where a user's days were counted, and since when: whoever moved has each day in the zone of that day. The zone of the last
-- row is the present one, which app.users keeps too: older versions and most readers need no more.
create table app.user_time_zones (
    user_id int not null references app.users on delete cascade,
    valid_from timestamptz not null,
    time_zone text not null check (length(time_zone) <= 64),
    primary key (user_id, valid_from)
);
comment on table app.user_time_zones is
'The time zones of users, each until the next one begins; the first is there from -infinity on.';
comment on column app.user_time_zones.valid_from is 'The moment (UTC) from which on days and hours are those of this zone.';

insert into app.user_time_zones (user_id, valid_from, time_zone)
select user_id, '-infinity', time_zone from app.users;

grant select on app.user_time_zones to {app}, {ingest}, {dbt};
grant insert, update (time_zone), delete on app.user_time_zones to {app}, {ingest};

create function app.check_user_time_zone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    -- app.users has asked already where its own trigger leads here.
    if pg_trigger_depth() = 1 then
        -- Raises invalid_parameter_value for a zone that this server does not know.
        perform timezone(new.time_zone, timestamptz 'epoch');
    end if;
    if tg_op = 'INSERT' and (select count(*) >= 100 from app.user_time_zones as z where z.user_id = new.user_id) then
        raise exception using errcode = 'MYI02', message = 'there are 100 time zones already; remove some first';
    end if;
    return new;
end $$;
create trigger check_user_time_zone before insert or update on app.user_time_zones
for each row execute function app.check_user_time_zone();

-- What app.users says is the last row's zone, whichever of the two is changed. A new zone there replaces the last one: for
-- a user who never moved, that of every day.
create function app.keep_last_time_zone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        insert into app.user_time_zones (user_id, valid_from, time_zone)
        values (new.user_id, '-infinity', new.time_zone);
    else
        update app.user_time_zones as z set time_zone = new.time_zone
        where
            z.user_id = new.user_id
            and z.time_zone <> new.time_zone
            and z.valid_from = (select max(l.valid_from) from app.user_time_zones as l where l.user_id = new.user_id);
    end if;
    return null;
end $$;
create trigger keep_last_time_zone after insert or update of time_zone on app.users
for each row execute function app.keep_last_time_zone();

-- A new zone moves the plays of the time in which it holds: from its moment to the next row's. Plays that corrections move
-- into that time count there, too.
create function ops.mark_time_zone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed app.user_time_zones := case when tg_op = 'DELETE' then old else new end;
    until_at timestamptz;
    last_zone text;
begin
    -- With the user, everything goes.
    if not exists (select from app.users as u where u.user_id = changed.user_id) then
        return null;
    end if;
    select coalesce(min(z.valid_from), 'infinity') into until_at
    from app.user_time_zones as z
    where z.user_id = changed.user_id and z.valid_from > changed.valid_from;
    if changed.valid_from = '-infinity' and until_at = 'infinity' then
        -- A new user has no plays yet, and is marked by another trigger.
        if tg_op <> 'INSERT' then
            insert into ops.changed_users (user_id, scope) values (changed.user_id, 'everything');
        end if;
    else
        insert into ops.changed_days (user_id, utc_day)
        select distinct changed.user_id, (e.played_at at time zone 'UTC')::date
        from (
            select 0 as shift_s
            union
            select c.shift_s from app.corrections as c
            where c.user_id = changed.user_id and c.undone_at is null and c.shift_s is not null
        ) as moved
        inner join raw.listening_events as e
            on
                e.user_id = changed.user_id
                and e.played_at >= changed.valid_from - moved.shift_s * interval '1 second'
                and e.played_at < until_at - moved.shift_s * interval '1 second';
    end if;
    select z.time_zone into last_zone
    from app.user_time_zones as z
    where z.user_id = changed.user_id
    order by z.valid_from desc
    limit 1;
    update app.users as u set time_zone = last_zone where u.user_id = changed.user_id and u.time_zone <> last_zone;
    if tg_op <> 'INSERT' or changed.valid_from > '-infinity' then
        perform pg_notify('myi_wake', 'changes');
    end if;
    return null;
end $$;
create trigger mark_time_zone after insert or update or delete on app.user_time_zones
for each row execute function ops.mark_time_zone();

-- The days of a user with another zone are marked above.
create or replace function ops.mark_user() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        -- Raw has no foreign key to users (it would cost every insert): whoever deletes a user deletes the events here.
        delete from raw.listening_events where user_id = old.user_id;
        delete from raw.covered_spans where user_id = old.user_id;
        delete from ops.quarantine where user_id = old.user_id;
        insert into ops.changed_users (user_id, scope) values (old.user_id, 'everything');
    else
        insert into ops.changed_users (user_id, scope) values (new.user_id, 'profile');
    end if;
    return null;
end $$;

-- Each distinct zone is asked once, which `offset 0` keeps the planner from undoing.
create or replace view ops.held_back_users as
select distinct on (users.user_id) users.user_id, users.user_key, zones.time_zone
from app.users as users
inner join app.user_time_zones as zones on zones.user_id = users.user_id
where zones.time_zone in (
    select known.time_zone
    from (select distinct time_zone from app.user_time_zones offset 0) as known
    where not ops.knows_time_zone(known.time_zone)
)
order by users.user_id, zones.valid_from desc;

revoke all on function app.check_user_time_zone(), app.keep_last_time_zone(), ops.mark_time_zone() from public;
