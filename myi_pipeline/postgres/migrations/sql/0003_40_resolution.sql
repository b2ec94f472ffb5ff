-- Resolution of polled plays and archive rows: which days of whom a mart run looks at again.

-- Rows that an archive puts at the sync of a device, hours or weeks after the play: found by when the play began.
create index listening_events_synced on raw.listening_events (user_id, offline_timestamp)
where offline and played_at - offline_timestamp > interval '45 minutes';

-- The (user, UTC day) pairs whose polled plays a run matches anew: wider than the run's days, because a play that is
-- polled before midnight may be archived after it, and what one play is matched with leaves another alone.
create table ops.mart_run_api_days (
    run_id bigint not null,
    user_id int not null,
    utc_day date not null,
    primary key (run_id, user_id, utc_day)
);
grant select, insert, update, delete on ops.mart_run_api_days to {dbt};

-- Days that a run itself finds to be touched (a learnt clock or a match is another than before) enter the ledger in the
-- transaction that stores the change, as rows that this run has frozen: it recomputes and closes them, and if it does
-- not get that far, the next one does. With `match_again` its polled plays are matched anew as well.
create function ops.mark_run_day(wanted_run bigint, touched_user int, touched_day date, match_again boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    change bigint;
begin
    insert into ops.mart_run_days (run_id, user_id, utc_day) values (wanted_run, touched_user, touched_day)
    on conflict do nothing;
    if found then
        insert into ops.changed_days (user_id, utc_day) values (touched_user, touched_day) returning change_id into change;
        insert into ops.mart_run_changes (run_id, ledger, change_id) values (wanted_run, 'days', change);
    end if;
    if match_again then
        insert into ops.mart_run_api_days (run_id, user_id, utc_day) values (wanted_run, touched_user, touched_day)
        on conflict do nothing;
    end if;
end $$;
revoke all on function ops.mark_run_day(bigint, int, date, boolean) from public;
grant execute on function ops.mark_run_day(bigint, int, date, boolean) to {dbt};

-- Only an owner may analyze.
create or replace function ops.analyze_mart_run() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    analyze ops.mart_run_changes, ops.mart_run_days, ops.mart_run_contents, ops.mart_run_users, ops.mart_run_api_days;
end $$;
