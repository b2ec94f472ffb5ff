-- Playlists moved from one service to another: what was planned, how each entry was matched, every write, and what people
-- decided about single tracks.
create table app.migrations (
    migration_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    source_playlist_id int not null references raw.playlists on delete cascade,
    source_version_no int not null,
    source_name text not null check (length(source_name) <= 400),
    target_account_id int not null references app.provider_accounts on delete cascade,
    -- NULL: to be made under target_name.
    target_playlist text check (length(target_playlist) between 1 and 400),
    target_name text not null check (length(target_name) between 1 and 200),
    is_equal boolean not null default false,
    state text not null check (
        state in ('ordered', 'planned', 'applying', 'done', 'incomplete', 'cancelled', 'failed')
    ),
    -- What the target held before anything was written.
    target_before jsonb not null default '[]',
    created_at timestamptz not null,
    begun_at timestamptz,
    finished_at timestamptz,
    last_error text,
    -- What the service could not be asked when it was planned.
    note text,
    -- What the target's service can do, as its entries were planned for it.
    capabilities jsonb,
    -- What a job is to do, since when, how often it was begun in vain, and when not before.
    ordered text check (ordered in ('plan', 'apply')),
    ordered_at timestamptz,
    attempts int not null default 0 check (attempts >= 0),
    due_at timestamptz,
    cancel_asked_at timestamptz,
    check (not (state in ('done', 'incomplete', 'cancelled', 'failed') and finished_at is null)),
    check ((ordered is null) = (ordered_at is null)),
    check (state <> 'ordered' or ordered = 'plan')
);
-- Two jobs at one playlist would each take the other's entries for somebody else's.
create unique index migrations_into on app.migrations (target_account_id, target_playlist) where ordered is not null;
create index migrations_ordered on app.migrations (ordered_at) where ordered is not null;
create index migrations_user on app.migrations (user_id, migration_id);
comment on table app.migrations is
'A playlist that is moved: from a version of a playlist in raw to a new or an existing playlist of a linked account.';
comment on column app.migrations.state is
'ordered: not planned yet; planned: nothing written; applying; done: read back, as planned; incomplete: something is left;
cancelled; failed: it cannot be planned.';
comment on column app.migrations.due_at is
'When what was ordered goes on: a quota is used up until then, or it was begun in vain.';

create table app.migration_items (
    migration_id bigint not null references app.migrations on delete cascade,
    position int not null check (position >= 0),
    title text not null,
    artists text[] not null,
    content_id int,
    added_at timestamptz,
    outcome text not null check (outcome in ('matched', 'ambiguous', 'missing', 'unavailable')),
    uri text,
    score real not null,
    margin real,
    kinship text not null,
    reason text not null,
    is_decided boolean not null default false,
    is_refused boolean not null default false,
    candidates jsonb not null default '[]',
    primary key (migration_id, position),
    check ((outcome = 'matched') = (uri is not null))
);
comment on table app.migration_items is 'Each entry of the source, in order: what it was matched with, how surely, and why.';
comment on column app.migration_items.is_refused is 'The target left it out when it was added.';

create table app.migration_writes (
    migration_id bigint not null references app.migrations on delete cascade,
    write_no int not null check (write_no >= 0),
    idempotency_key text not null unique check (length(idempotency_key) <= 128),
    step jsonb not null,
    length_before int,
    digest_before text,
    length_after int,
    digest_after text,
    sent_at timestamptz not null,
    outcome text check (outcome in ('confirmed', 'not_done', 'partly_done', 'changed')),
    settled_at timestamptz,
    primary key (migration_id, write_no),
    check ((outcome is null) = (settled_at is null))
);
create unique index migration_writes_unsettled on app.migration_writes (migration_id) where outcome is null;
comment on table app.migration_writes is
'The journal: every write, committed before it is sent. Without an outcome nobody knows yet whether it was done.';

create table app.match_decisions (
    decision_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    provider text not null check (provider in ('spotify', 'tidal', 'deezer', 'youtube_music')),
    -- Without a foreign key: what was decided may outlive what raw says of the track.
    content_id int not null,
    kind text not null check (kind in ('is', 'never', 'unavailable')),
    uri text check (length(uri) between 1 and 400),
    decided_at timestamptz not null,
    undone_at timestamptz,
    check ((kind = 'unavailable') = (uri is null))
);
create index match_decisions_content on app.match_decisions (user_id, provider, content_id) where undone_at is null;
comment on table app.match_decisions is
'What a person said: this track is that one there, is never that one, or is not there. It wins over the rules; of two the later one wins.';

grant select, insert, update, delete on app.migrations, app.migration_items, app.migration_writes, app.match_decisions
to {ingest};
grant select, insert, update on app.migrations, app.migration_items, app.match_decisions to {app};
grant select on app.migration_writes to {app};

alter table app.migrations enable row level security;
create policy of_one_user on app.migrations to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.migrations to {ingest} using (true) with check (true);
alter table app.match_decisions enable row level security;
create policy of_one_user on app.match_decisions to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.match_decisions to {ingest} using (true) with check (true);
-- Below the policy of app.migrations: of one user.
alter table app.migration_items enable row level security;
create policy of_one_user on app.migration_items to {app}
using (exists (select from app.migrations as m where m.migration_id = migration_items.migration_id))
with check (exists (select from app.migrations as m where m.migration_id = migration_items.migration_id));
create policy of_every_user on app.migration_items to {ingest} using (true) with check (true);
alter table app.migration_writes enable row level security;
create policy of_one_user on app.migration_writes to {app}
using (exists (select from app.migrations as m where m.migration_id = migration_writes.migration_id));
create policy of_every_user on app.migration_writes to {ingest} using (true) with check (true);
