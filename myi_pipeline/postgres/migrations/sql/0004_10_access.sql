-- Who may come in by what. Nothing here opens anything: of every reference, token, state and link only a hash is kept.
create table app.sessions (
    session_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    reference_hash bytea not null unique check (length(reference_hash) = 32),
    method text not null check (method in ('spotify', 'link')),
    device text not null check (length(device) <= 200),
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now()
);
create index sessions_user on app.sessions (user_id);
comment on table app.sessions is 'Browsers that are signed in; ending one deletes its row.';

create table app.access_tokens (
    token_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    token_hash bytea not null unique check (length(token_hash) = 32),
    name text not null check (length(name) between 1 and 100),
    scope text not null default 'read' check (scope = 'read'),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index access_tokens_user on app.access_tokens (user_id);
comment on table app.access_tokens is 'Tokens for programs; expires_at NULL means until revoked.';

create table app.sign_in_links (
    link_hash bytea primary key check (length(link_hash) = 32),
    user_id int not null references app.users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index sign_in_links_user on app.sign_in_links (user_id);
comment on table app.sign_in_links is 'One-time links that sign a browser in; using one deletes its row.';

create table app.sign_ins (
    state_hash bytea primary key check (length(state_hash) = 32),
    -- A browser's sign-in is bound to that browser; a command's waits for the answer that the site receives for it.
    browser_hash bytea check (length(browser_hash) = 32),
    user_id int references app.users on delete cascade,
    client_id text not null,
    -- Sealed as a refresh token is, and only for browsers: a command keeps its verifier to itself.
    verifier bytea,
    return_to text not null default '/',
    answer text check (length(answer) <= 4000),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '10 minutes',
    check ((browser_hash is null) = (verifier is null))
);
create index sign_ins_expiry on app.sign_ins (expires_at);
comment on table app.sign_ins is 'Sign-ins at Spotify that are under way; each answer takes its row away.';
comment on column app.sign_ins.user_id is 'Whose account is being connected; NULL when Spotify is to say who it is.';

grant select, insert, update, delete on app.sessions, app.access_tokens, app.sign_in_links, app.sign_ins to {app};

-- Whoever serves people puts a login into its envelope and can never take one out: no right to read refresh_token.
grant select (account_key, key_id), insert, update, delete on app.credentials to {app};
grant usage on schema ops to {app};
grant select, insert, update, delete on ops.quota_clients, ops.quota_calls, ops.quota_blocks to {app};
grant select, insert, update on ops.circuits, ops.circuit_events to {app};
