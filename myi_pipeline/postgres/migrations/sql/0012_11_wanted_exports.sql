-- Full exports that people request. A job makes them and puts them into the store of files.
create table app.exports (
    export_id int generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    with_marts boolean not null default true,
    state text not null default 'ordered' check (state in ('ordered', 'running', 'done', 'failed')),
    ordered_at timestamptz not null default now(),
    begun_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    attempts int not null default 0 check (attempts >= 0),
    rows_done bigint not null default 0,
    rows_total bigint not null default 0,
    file_name text,
    size_bytes bigint,
    events bigint,
    marts_are_current boolean,
    error text,
    check ((state = 'done') = (file_name is not null)),
    check ((state in ('done', 'failed')) = (finished_at is not null))
);
-- One at a time for each user.
create unique index exports_under_way on app.exports (user_id) where state in ('ordered', 'running');
create index exports_user on app.exports (user_id, export_id);
comment on table app.exports is
'Exports that people requested; the file is in the store until it expires or its user deletes it.';
comment on column app.exports.rows_total is 'Approximate number of rows to write, known once it has begun.';

grant select, insert (user_id, with_marts), delete on app.exports to {app};
grant select, update, delete on app.exports to {ingest};
alter table app.exports enable row level security;
create policy of_one_user on app.exports to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.exports to {ingest} using (true) with check (true);

create function ops.wake_by_exports() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_notify('myi_wake', 'exports');
    return null;
end
$$;
comment on function ops.wake_by_exports() is 'Notifies myi up that somebody requested an export.';
create trigger wake_by_exports after insert on app.exports
for each statement execute function ops.wake_by_exports();
