-- Files of other services and players.

-- The first time that a source can tell: an earlier one is a mistake, and its row is quarantined.
alter table raw.sources add column earliest timestamptz;
update raw.sources
set earliest = case when source_id <= 3 then timestamptz '2006-01-01 00:00+00' else timestamptz '2002-10-01 00:00+00' end;
alter table raw.sources alter column earliest set not null;
comment on column raw.sources.earliest is 'What is said to have been played before is no play of this source.';

-- Where a player was that does not say it: what a person chose, then what the import was read with.
alter table app.imports add column time_zone text check (length(time_zone) between 1 and 100);
comment on column app.imports.time_zone is
'The zone that was taken for times of a player that names none; NULL where no file needs one, or nobody has chosen yet.';

-- Makes the partitions of every month from first_month to last_month (any day of it) and returns how many were missing.
-- CREATE ... LIKE and ATTACH, because CREATE ... PARTITION OF waits behind readers and blocks every writer behind itself.
create or replace function ops.ensure_event_partitions(first_month date, last_month date) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '30s' as $$
declare
    month date := date_trunc('month', first_month)::date;
    name text;
    made int := 0;
begin
    if first_month > last_month then
        raise exception 'inverted range of months: % > %', first_month, last_month using errcode = 'invalid_parameter_value';
    end if;
    if first_month < date_trunc('month', (select min(earliest) from raw.sources) at time zone 'UTC')::date
        or last_month > (now() at time zone 'UTC')::date + 800 then
        raise exception 'months must lie between the earliest of any source and two years ahead, not % to %',
            first_month, last_month using errcode = 'invalid_parameter_value';
    end if;
    while month <= last_month loop
        name := ops.partition_name(month);
        if not ops.has_partition(month) then
            perform pg_advisory_xact_lock(hashtext('myi.event_partitions'));
            if not ops.has_partition(month) then
                execute format(
                    'create table raw.%I (like raw.listening_events including defaults including constraints including comments, '
                    'constraint month_of_partition check (played_at >= %L and played_at < %L))',
                    name, month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00');
                execute format(
                    'create trigger refuse_truncate before truncate on raw.%I for each statement execute function ops.refuse_truncate()',
                    name);
                execute format(
                    'alter table raw.listening_events attach partition raw.%I for values from (%L) to (%L)',
                    name, month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00');
                made := made + 1;
            end if;
        end if;
        month := (month + interval '1 month')::date;
    end loop;
    return made;
end $$;

-- The same for some rows of an archive: bytes cannot show it when the file was written or packed again. Two people who
-- listen together share contents, but seldom the second in which a play ends and its milliseconds: half of an extended
-- history is no coincidence; so is half of what scrobbles tell, the second in which a play began. Where times are cut to
-- minutes it takes nine rows in ten. Rows the requesting user
-- already has are not evidence either way. Each question is one index lookup, so it is asked at most 400 times for the
-- user, 16 times for each other one, and in full only for those who hold any of these.
create or replace function app.are_anothers_rows(
    asking_user int, sources smallint [], times timestamptz [], lengths int [], content_keys uuid []
)
returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with asked as materialized (
        select a.source_id, a.played_at, a.ms_played, c.content_id, a.row_no
        from unnest(sources, times, lengths, content_keys) with ordinality
            as a (source_id, played_at, ms_played, content_key, row_no)
        left join raw.contents as c on c.content_key = a.content_key
    ),
    foreigners as materialized (
        select a.*, row_number() over (partition by a.source_id order by a.row_no) as place
        from asked as a
        where
            a.content_id is not null
            -- OFFSET 0 keeps each question a look into the index: the planner would rather read all plays.
            and not exists (
                select
                from raw.listening_events as e
                where
                    e.user_id = asking_user
                    and e.played_at = a.played_at
                    and e.source_id = a.source_id
                    and e.content_id = a.content_id
                    and e.ms_played is not distinct from a.ms_played
                offset 0
            )
    ),
    wanted as materialized (
        select
            a.source_id,
            greatest(20, count(*) * case when s.precision_ms >= 60000 then 0.9 else 0.5 end) as least_held
        from asked as a
        inner join raw.sources as s on s.source_id = a.source_id
        group by a.source_id, s.precision_ms
        having count(*) >= 20
    ),
    holders as materialized (
        select u.user_id
        from app.users as u
        where
            u.user_id <> asking_user
            and exists (select from wanted)
            and exists (
                select
                from foreigners as f
                where
                    f.place <= 8
                    and exists (
                        select
                        from raw.listening_events as e
                        where
                            e.user_id = u.user_id
                            and e.played_at = f.played_at
                            and e.source_id = f.source_id
                            and e.content_id = f.content_id
                            and e.ms_played is not distinct from f.ms_played
                        offset 0
                    )
                offset 0
            )
    )
    select exists (
        select
        from holders as h
        cross join wanted as w
        where w.least_held <= (
            select count(*)
            from foreigners as f
            where
                f.source_id = w.source_id
                and exists (
                    select
                    from raw.listening_events as e
                    where
                        e.user_id = h.user_id
                        and e.played_at = f.played_at
                        and e.source_id = f.source_id
                        and e.content_id = f.content_id
                        and e.ms_played is not distinct from f.ms_played
                    offset 0
                )
        )
    )
$$;

-- A log that is read again in another time zone holds other plays.
grant delete on raw.event_holders to {ingest};
