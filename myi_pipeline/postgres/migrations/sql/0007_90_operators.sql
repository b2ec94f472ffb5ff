-- Operators: users who may use Dagster's pages. The site's own role can neither make one nor delete anybody.
alter table app.users add column is_operator boolean not null default false;
comment on column app.users.is_operator is 'Whether this user may use Dagster''s pages.';
revoke insert, update, delete on app.users from {app};
grant insert (user_key, display_name, time_zone), update (display_name, time_zone) on app.users to {app};

alter table app.access_tokens drop constraint access_tokens_scope_check;
alter table app.access_tokens add constraint access_tokens_scope_check check (scope in ('read', 'operate'));
comment on column app.access_tokens.scope is 'read: the user''s marts; operate: Dagster''s pages as well, while the user is an operator.';

-- The operator of the installation needs no user for Dagster's pages.
create table app.dagster_links (
    link_hash bytea primary key check (length(link_hash) = 32),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
comment on table app.dagster_links is 'One-time links into Dagster''s pages; using one deletes its row.';

create table app.dagster_sessions (
    session_id bigint generated always as identity primary key,
    reference_hash bytea not null unique check (length(reference_hash) = 32),
    device text not null check (length(device) <= 200),
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now()
);
comment on table app.dagster_sessions is 'Browsers that came in to Dagster''s pages by a link.';

grant select, insert, delete on app.dagster_links to {app};
grant select, insert, update (last_seen_at), delete on app.dagster_sessions to {app};
