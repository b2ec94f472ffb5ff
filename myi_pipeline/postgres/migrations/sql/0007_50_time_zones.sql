-- Names of time zones differ between versions and builds of Postgres: what one server knows another may not, so a check
-- constraint would keep a whole dump from being restored. A trigger asks when a zone is set, and nothing else does.
create function ops.knows_time_zone(wanted text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    perform timezone(wanted, timestamptz 'epoch');
    return true;
exception when invalid_parameter_value then
    return false;
end $$;
comment on function ops.knows_time_zone(text) is 'Whether this server knows a time zone of that name.';

create function app.check_time_zone() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'INSERT' or new.time_zone is distinct from old.time_zone then
        -- Raises invalid_parameter_value for a zone that this server does not know.
        perform timezone(new.time_zone, timestamptz 'epoch');
    end if;
    return new;
end $$;
create trigger check_time_zone before insert or update of time_zone on app.users
for each row execute function app.check_time_zone();

do $$
declare
    found record;
begin
    for found in
        select conname from pg_constraint
        where conrelid = 'app.users'::regclass and contype = 'c' and pg_get_constraintdef(oid) like '%timezone%'
    loop
        execute format('alter table app.users drop constraint %I', found.conname);
    end loop;
end $$;

-- Each distinct zone is asked once, which `offset 0` keeps the planner from undoing.
create view ops.held_back_users as
select users.user_id, users.user_key, users.time_zone
from app.users as users
where users.time_zone in (
    select zones.time_zone
    from (select distinct time_zone from app.users offset 0) as zones
    where not ops.knows_time_zone(zones.time_zone)
);
comment on view ops.held_back_users is
'Users whose time zone this server does not know: no mart run counts their days, and what changed of them stays in the ledger.';

revoke all on function ops.knows_time_zone(text), app.check_time_zone() from public;
grant execute on function ops.knows_time_zone(text) to {ingest}, {dbt}, {app};
grant select on ops.held_back_users to {ingest}, {dbt};
