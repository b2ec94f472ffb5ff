-- Erasing users: requests, and the receipts that remain. A receipt says what was erased and when, but not whose it was.
create table app.erasure_requests (
    user_id int primary key references app.users on delete cascade,
    receipt_id text not null unique check (receipt_id ~ '^[0-9a-f]{24}$'),
    requested_at timestamptz not null default now(),
    due_at timestamptz not null,
    last_error text check (length(last_error) <= 300)
);
comment on table app.erasure_requests is 'Pending requests for erasure, until they are carried out or withdrawn.';
comment on column app.erasure_requests.due_at is 'When it is carried out; until then it can be withdrawn.';
comment on column app.erasure_requests.last_error is 'Why it could not be carried out yet.';
grant select, insert, delete on app.erasure_requests to {app};
grant select, insert, update, delete on app.erasure_requests to {ingest};
alter table app.erasure_requests enable row level security;
create policy of_one_user on app.erasure_requests to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.erasure_requests to {ingest} using (true) with check (true);

create table ops.erasures (
    receipt_id text primary key check (receipt_id ~ '^[0-9a-f]{24}$'),
    tombstone bytea not null check (length(tombstone) = 32),
    requested_at timestamptz not null,
    erased_at timestamptz not null default now(),
    finished_at timestamptz,
    counts jsonb not null check (jsonb_typeof(counts) = 'object'),
    logins jsonb not null check (jsonb_typeof(logins) = 'array')
);
comment on table ops.erasures is 'Receipts of erasures. Nothing in them names anybody.';
comment on column ops.erasures.tombstone is
'A keyed hash of the erased user, to recognise them in a database that was restored from an older backup.';
comment on column ops.erasures.counts is 'How many rows or files of each kind were removed.';
comment on column ops.erasures.logins is 'Services for which a login was stored, and whether it was ended there.';
comment on column ops.erasures.finished_at is 'When the last trace was removed.';
grant select, insert, update on ops.erasures to {ingest};

alter table ops.removals
add column receipt_id text,
add column traces text [] not null default '{}',
add column looked_at timestamptz;
comment on column ops.removals.receipt_id is 'The receipt of an erasure; NULL when the row of app.users was deleted by hand.';
comment on column ops.removals.traces is
'Names of files and accounts that only this user had, to be removed from Dagster''s records and logs.';
comment on column ops.removals.looked_at is 'When Dagster''s records and logs were last searched.';

-- Names that other users have too are not traces: their records stay as they are.
create function ops.begin_removal_traces() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update ops.removals as r
    set traces = coalesce(found.traces, '{}')
    from (
        select array_agg(named.trace) as traces
        from (
            select i.archive_name as trace from app.imports as i where i.user_id = old.user_id
            union
            select f.file_name
            from app.import_files as f
            inner join app.imports as i on i.import_id = f.import_id
            where i.user_id = old.user_id
            union
            select a.provider_account from app.provider_accounts as a where a.user_id = old.user_id
            union
            select a.name from app.provider_accounts as a where a.user_id = old.user_id
            union
            select l.account from app.linked_services as l where l.user_id = old.user_id
            union
            select v.name
            from raw.playlist_versions as v
            inner join raw.playlists as p on p.playlist_id = v.playlist_id
            where p.user_id = old.user_id
            union
            select old.display_name
        ) as named
        where
            length(named.trace) between 4 and 300
            and not exists (
                select from app.imports as i where i.user_id <> old.user_id and i.archive_name = named.trace
            )
            and not exists (
                select
                from app.import_files as f
                inner join app.imports as i on i.import_id = f.import_id
                where i.user_id <> old.user_id and f.file_name = named.trace
            )
            and not exists (
                select from app.provider_accounts as a
                where a.user_id <> old.user_id and named.trace in (a.name, a.provider_account)
            )
            and not exists (
                select from app.linked_services as l where l.user_id <> old.user_id and l.account = named.trace
            )
            and not exists (
                select
                from raw.playlist_versions as v
                inner join raw.playlists as p on p.playlist_id = v.playlist_id
                where p.user_id <> old.user_id and v.name = named.trace
            )
            and not exists (
                select from app.users as u where u.user_id <> old.user_id and u.display_name = named.trace
            )
    ) as found
    where r.user_id = old.user_id;
    return old;
end $$;
-- Runs after begin_removal: triggers fire in alphabetical order.
create trigger begin_removal_traces before delete on app.users
for each row execute function ops.begin_removal_traces();

-- The audit log is append-only for all roles; only an erasure deletes rows about a user. It also deletes rows without a
-- user (wrong guesses) from addresses that no other user has used.
create function app.erase_audit(listener int) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with own as (
        select distinct a.address from app.audit as a where a.user_id = listener and a.address is not null
    ),

    only_theirs as (
        select own.address
        from own
        where not exists (select from app.audit as a where a.address = own.address and a.user_id <> listener)
    ),

    erased as (
        delete from app.audit as a
        where
            a.user_id = listener
            or a.user_key = (select u.user_key from app.users as u where u.user_id = listener)
            or (
                a.user_id is null
                and (
                    a.address in (select t.address from only_theirs as t)
                    or exists (
                        select from jsonb_each_text(a.detail) as said
                        where said.value = (select u.user_key from app.users as u where u.user_id = listener)
                    )
                )
            )
        returning 1
    )

    select count(*) from erased
$$;
comment on function app.erase_audit(int) is 'Deletes the rows of the audit log about a user who is being erased.';
revoke all on function app.erase_audit(int) from public;
grant execute on function app.erase_audit(int) to {ingest};

-- Number of stored rows of a user, by table. A session of the web interface can only ask for its own user
-- (ops.may_ask_for). Tables whose rows are deleted with app.users are found by their foreign keys, so that new tables
-- are included automatically.
create function app.count_kept_of(owner_id int) returns table (kind text, rows bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    counted record;
begin
    if not ops.may_ask_for(owner_id) then
        return;
    end if;
    for counted in
        select c.conrelid::regclass::text as relation, quote_ident(a.attname) as column_name
        from pg_constraint as c
        inner join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where
            c.contype = 'f' and c.confrelid = 'app.users'::regclass and c.confdeltype = 'c'
            and cardinality(c.conkey) = 1 and c.conrelid <> 'app.erasure_requests'::regclass
        union
        select others.relation, 'user_id'
        from (values ('raw.listening_events'), ('ops.quarantine'), ('app.audit')) as others (relation)
        order by 1
    loop
        return query execute format(
            'select %L::text, count(*) from %s where %s = $1', counted.relation, counted.relation, counted.column_name
        ) using owner_id;
    end loop;
end $$;
comment on function app.count_kept_of(int) is 'Number of stored rows of one user, by table.';
revoke all on function app.count_kept_of(int) from public;
grant execute on function app.count_kept_of(int) to {app}, {ingest};

-- Anybody with the id of a receipt may read it, as the person no longer has an account.
create function app.erasure_receipt(wanted text)
returns table (
    requested_at timestamptz, due_at timestamptz, erased_at timestamptz, finished_at timestamptz, counts jsonb, logins jsonb
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select e.requested_at, e.erased_at, e.erased_at, e.finished_at, e.counts, e.logins
    from ops.erasures as e
    where e.receipt_id = wanted
    union all
    select r.requested_at, r.due_at, null, null, '{}', '[]'
    from app.erasure_requests as r
    where r.receipt_id = wanted and not exists (select from ops.erasures as e where e.receipt_id = wanted)
$$;
comment on function app.erasure_receipt(text) is 'The state of an erasure, by the id of its receipt.';
revoke all on function app.erasure_receipt(text) from public;
grant execute on function app.erasure_receipt(text) to {app}, {ingest};

-- Whether an import of a user is running, for whose end an erasure waits. A running import holds the lock of its
-- archive (import_log.archive_lock), a killed one does not.
create function app.running_import_of(owner_id int) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return (
        select i.archive_name
        from app.imports as i
        where
            i.user_id = owner_id and i.status = 'running' and ops.may_ask_for(owner_id)
            and not pg_try_advisory_xact_lock(
                ('x' || encode(substring(i.sha256 from 1 for 8), 'hex'))::bit(64)::bigint # i.user_id
            )
        order by i.import_id
        limit 1
    );
end $$;
comment on function app.running_import_of(int) is 'The archive of this user that is being imported now.';
revoke all on function app.running_import_of(int) from public;
grant execute on function app.running_import_of(int) to {app}, {ingest};
