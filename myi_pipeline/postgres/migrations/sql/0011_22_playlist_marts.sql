-- What a mart run recomputes of playlists.
create table ops.mart_run_playlists (
    run_id bigint not null,
    playlist_id int not null,
    user_id int not null,
    primary key (run_id, playlist_id)
);
comment on table ops.mart_run_playlists is
'Playlists of the open run: those with a new version, and those that name a content of the run.';
grant select, insert, update, delete on ops.mart_run_playlists to {dbt};

alter table ops.mart_run_changes drop constraint mart_run_changes_ledger_check;
alter table ops.mart_run_changes add constraint mart_run_changes_ledger_check
check (ledger in ('days', 'contents', 'users', 'facts', 'playlists'));

create or replace function ops.analyze_mart_run() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    analyze
        ops.mart_run_changes, ops.mart_run_days, ops.mart_run_contents, ops.mart_run_users, ops.mart_run_api_days,
        ops.mart_run_facts, ops.mart_run_playlists;
end $$;

-- Which of some numbers keep their order while the fewest others move: a longest increasing subsequence, by the piles of
-- patience sorting. The numbers are distinct.
create function ops.kept_in_order(numbers int []) returns int []
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    total int := coalesce(array_length(numbers, 1), 0);
    tops int [] := '{}';
    previous int [] := '{}';
    piles int := 0;
    low int;
    high int;
    middle int;
    place int;
    kept int [] := '{}';
begin
    for place in 1..total loop
        low := 1;
        high := piles + 1;
        while low < high loop
            middle := (low + high) / 2;
            if numbers[tops[middle]] < numbers[place] then
                low := middle + 1;
            else
                high := middle;
            end if;
        end loop;
        previous[place] := case when low > 1 then tops[low - 1] end;
        tops[low] := place;
        piles := greatest(piles, low);
    end loop;
    place := case when piles > 0 then tops[piles] end;
    while place is not null loop
        kept := array_append(kept, numbers[place]);
        place := previous[place];
    end loop;
    return kept;
end $$;
comment on function ops.kept_in_order(int []) is
'Those of these distinct numbers that stay where they are when the fewest move to bring them in order.';
revoke all on function ops.kept_in_order(int []) from public;
grant execute on function ops.kept_in_order(int []) to {dbt};
