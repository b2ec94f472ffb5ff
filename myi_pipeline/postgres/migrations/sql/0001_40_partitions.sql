-- Monthly partitions of raw.listening_events, made ahead of every load in a transaction of their own.

create function ops.partition_name(month date) returns text
language sql immutable set search_path = pg_catalog, pg_temp
return 'listening_events_' || to_char(month, 'YYYY"m"MM');

-- Reads pg_class by a query: to_regclass answers from a cache that does not hear of others while it waits for an advisory
-- lock, so that two loads made one partition twice, and one of them failed.
create function ops.has_partition(month date) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    return exists (
        select from pg_class where relnamespace = 'raw'::regnamespace and relname = ops.partition_name(month));
end $$;

-- TRUNCATE on a partition would bypass the ledger just as one on the parent would.
create function ops.refuse_truncate() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'raw.listening_events cannot be truncated: the change ledger would not see it; use delete'
        using errcode = 'feature_not_supported';
end $$;

-- Makes the partitions of every month from first_month to last_month (any day of it) and returns how many were missing.
-- CREATE ... LIKE and ATTACH, because CREATE ... PARTITION OF waits behind readers and blocks every writer behind itself.
create function ops.ensure_event_partitions(first_month date, last_month date) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '30s' as $$
declare
    month date := date_trunc('month', first_month)::date;
    name text;
    made int := 0;
begin
    if first_month > last_month then
        raise exception 'inverted range of months: % > %', first_month, last_month using errcode = 'invalid_parameter_value';
    end if;
    if first_month < date '2006-01-01' or last_month > (now() at time zone 'UTC')::date + 800 then
        raise exception 'months must lie between 2006-01 and two years ahead, not % to %', first_month, last_month
            using errcode = 'invalid_parameter_value';
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

-- Removes one month of raw, and says so to the ledger in the same transaction: the only way to detach.
create function ops.drop_event_partition(month date) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '30s' as $$
declare
    name text := ops.partition_name(month);
    marked bigint;
begin
    perform pg_advisory_xact_lock(hashtext('myi.event_partitions'));
    if not ops.has_partition(month) then
        return 0;
    end if;
    execute format('lock table raw.%I in access exclusive mode', name);
    execute format(
        'insert into ops.changed_days (user_id, utc_day) '
        'select distinct user_id, (played_at at time zone ''UTC'')::date from raw.%I', name);
    get diagnostics marked = row_count;
    execute format('alter table raw.listening_events detach partition raw.%I', name);
    execute format('drop table raw.%I', name);
    return marked;
end $$;

revoke all on function ops.ensure_event_partitions(date, date), ops.drop_event_partition(date) from public;
grant execute on function ops.ensure_event_partitions(date, date) to {ingest};
