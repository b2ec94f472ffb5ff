-- Migrations that are kept in sync: run again on demand, and daily once the source has changed.
create table app.saved_migrations (
    saved_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    source_playlist_id int not null references raw.playlists on delete cascade,
    source_name text not null check (length(source_name) <= 400),
    target_account_id int not null references app.provider_accounts on delete cascade,
    target_playlist text not null check (length(target_playlist) between 1 and 400),
    target_name text not null check (length(target_name) between 1 and 200),
    is_equal boolean not null default false,
    -- The target's entries before any were added from the source.
    target_before jsonb not null default '[]',
    is_daily boolean not null default true,
    -- The migration that it was made from; its runs are the migrations with its saved_id.
    origin_id bigint references app.migrations on delete set null,
    created_at timestamptz not null,
    looked_at timestamptz not null,
    paused_at timestamptz,
    pause_reason text,
    unique (source_playlist_id, target_account_id, target_playlist),
    check (pause_reason is null or paused_at is not null)
);
create index saved_migrations_user on app.saved_migrations (user_id, saved_id);
create index saved_migrations_daily on app.saved_migrations (looked_at) where is_daily and paused_at is null;
comment on table app.saved_migrations is
'A playlist that is kept in sync with another: entries of the source are added, or the target is made equal to it.';
comment on column app.saved_migrations.looked_at is 'When the source was last checked for changes.';
comment on column app.saved_migrations.pause_reason is
'Why it was paused automatically; NULL: its user paused it, or it is not paused.';

alter table app.migrations
add column saved_id bigint references app.saved_migrations on delete set null,
add column target_now jsonb;
create index migrations_saved on app.migrations (saved_id, migration_id) where saved_id is not null;
comment on column app.migrations.saved_id is 'The saved migration that it is a run of.';
comment on column app.migrations.target_now is
'For a run that adds to earlier ones: the target''s entries when it was planned.';
alter table app.migration_items add column sent_uri text;
comment on column app.migration_items.sent_uri is
'The URI that was sent, if the service lists it under another one.';

grant select, insert, update, delete on app.saved_migrations to {app}, {ingest};
alter table app.saved_migrations enable row level security;
create policy of_one_user on app.saved_migrations to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.saved_migrations to {ingest} using (true) with check (true);
