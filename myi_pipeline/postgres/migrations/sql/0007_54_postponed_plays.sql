-- Polled plays that are dated ahead of now: kept until their time has come, when Spotify's list may show them no more.
create table ops.postponed_plays (
    user_id int not null references app.users on delete cascade,
    due_at timestamptz not null,
    -- The URI of what was played; empty where Spotify gives none.
    uri text not null check (length(uri) <= 2000),
    poll_id int not null,
    item jsonb not null check (pg_column_size(item) <= 65536),
    primary key (user_id, due_at, uri)
);
create index postponed_plays_due on ops.postponed_plays (due_at);
comment on table ops.postponed_plays is 'Items of polled pages that lie in the future, as Spotify gave them; maintenance brings them in.';
grant select, insert, delete on ops.postponed_plays to {ingest};
