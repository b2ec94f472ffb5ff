-- Share reports: a snapshot of figures that a person shows to anybody with the link. The row contains a copy of what is
-- shown, so that later plays and versions do not change it, and nothing that was not chosen is shown.
create table app.shares (
    share_id text primary key check (share_id ~ '^[0-9A-Za-z]{12}$'),
    user_id int not null references app.users on delete cascade,
    kind text not null check (kind in ('year', 'month', 'range', 'top', 'story')),
    title text not null check (length(title) between 1 and 100),
    snapshot jsonb check (octet_length(snapshot::text) <= 200000),
    made_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    is_indexed boolean not null default false,
    views int not null default 0 check (views >= 0),
    check (expires_at > made_at),
    -- The content of a revoked report is deleted at once; the row only records that there was one.
    check ((snapshot is null) = (revoked_at is not null))
);
create index shares_user on app.shares (user_id, made_at);
comment on table app.shares is 'Share reports: what a person shows to anybody with the link, as of when it was made.';
comment on column app.shares.share_id is 'The last part of its URL: 71 random bits.';
comment on column app.shares.snapshot is 'Everything that the page shows; "version" determines its format. NULL: revoked.';
comment on column app.shares.expires_at is 'NULL: never, as chosen by its owner.';
comment on column app.shares.is_indexed is 'Whether search engines may list it.';
comment on column app.shares.views is 'Visitors, each counted once a day; their identity is not stored.';

grant select, insert, delete on app.shares to {app};
grant update (title, snapshot, expires_at, revoked_at, is_indexed) on app.shares to {app};
grant select, update, delete on app.shares to {ingest};
alter table app.shares enable row level security;
create policy of_one_user on app.shares to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.shares to {ingest} using (true) with check (true);

-- Anybody with the link may see the report, but not whose it is. This function cannot list links.
create function app.open_share(wanted text, at timestamptz)
returns table (title text, snapshot jsonb, is_indexed boolean, has_ended boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        case when ended.yes then null else s.title end,
        case when ended.yes then null else s.snapshot end,
        s.is_indexed,
        ended.yes
    from app.shares as s
    cross join lateral (select s.revoked_at is not null or coalesce(s.expires_at <= at, false) as yes) as ended
    where s.share_id = wanted
$$;
comment on function app.open_share(text, timestamptz) is
'What the link of a share report shows now; for an ended one, only that it has ended.';

create function app.count_share_view(wanted text, viewer int) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    update app.shares as s
    set views = s.views + 1
    where s.share_id = wanted and s.revoked_at is null and s.user_id is distinct from viewer
$$;
comment on function app.count_share_view(text, int) is
'Counts a visitor of a share report, unless it is the owner.';
revoke all on function app.open_share(text, timestamptz), app.count_share_view(text, int) from public;
grant execute on function app.open_share(text, timestamptz), app.count_share_view(text, int) to {app};
