-- Who came in, who was let in or shut out, and what the operator did. Rows are added and never changed: no role but the
-- owner may update or delete them, the time is the server's own, and only what is older than 400 days can be pruned.
create table app.audit (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    event text not null check (event ~ '^[a-z][a-z_]{0,39}$'),
    -- No foreign key: what happened to a user who was removed stays known until it is pruned. Numbers of users are
    -- never given out twice.
    user_id int,
    user_key text,
    address text check (length(address) <= 100),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object' and length(detail::text) <= 4000)
);
create index audit_user on app.audit (user_id, audit_id);
create index audit_at on app.audit (at);
comment on table app.audit is 'Sign-ins, tokens, links, wrong guesses, removals and the operator''s commands; kept for 400 days.';
comment on column app.audit.user_id is 'Whom it concerns; NULL when that is not known, as with a wrong guess.';
comment on column app.audit.address is 'Where the request came from; NULL for a command or a job of this machine.';

grant select, insert (event, user_id, user_key, address, detail) on app.audit to {app}, {ingest};
alter table app.audit enable row level security;
-- Whoever serves people sees what concerns one person, whatever a query forgets; commands see everything.
create policy of_one_user on app.audit for select to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.audit for select to {ingest} using (true);
create policy may_be_added_to on app.audit for insert to {app}, {ingest} with check (true);

create function app.prune_audit() returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with pruned as (
        delete from app.audit where at < now() - interval '400 days' returning 1
    )
    select count(*) from pruned
$$;
comment on function app.prune_audit() is 'Deletes rows of app.audit that are older than 400 days; maintenance calls it every day.';
revoke all on function app.prune_audit() from public;
grant execute on function app.prune_audit() to {ingest};
