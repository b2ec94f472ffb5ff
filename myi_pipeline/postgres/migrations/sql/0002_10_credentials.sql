-- app.credentials: who signed in to Spotify. The refresh token is sealed; access tokens are never stored.
create table app.credentials (
    user_id int primary key references app.users on delete cascade,
    client_id text not null check (length(client_id) between 1 and 128),
    account_key text not null unique check (account_key ~ '^(account|id):.'),
    -- version (1 byte), key id (4), nonce (12), ciphertext and tag (16)
    refresh_token bytea not null check (length(refresh_token) > 33),
    key_id bytea not null generated always as (substring(refresh_token from 2 for 4)) stored,
    scopes text[] not null default '{}',
    status text not null default 'active' check (status in ('active', 'reauth_required')),
    paused_at timestamptz,
    authorised_at timestamptz not null,
    refreshed_at timestamptz not null,
    refusals int not null default 0 check (refusals >= 0),
    last_error text,
    last_failed_at timestamptz,
    warned_days int
);
comment on table app.credentials is 'One login per user; disconnecting deletes the row.';
comment on column app.credentials.account_key is 'Spotify''s immutable account_id, or its id where that is all that is told.';
comment on column app.credentials.authorised_at is 'The login ends six months after this, whatever is refreshed meanwhile.';
comment on column app.credentials.refusals is 'How often in a row the token endpoint refused; failures of the network do not count.';
comment on column app.credentials.warned_days is 'The last countdown warning that was logged: 30, 7, 1 or 0 days.';

grant select, insert, update, delete on app.credentials to {ingest};
-- Whoever serves people may see that there is a login, but not the login.
grant select (user_id, client_id, scopes, status, paused_at, authorised_at, refreshed_at, last_error, last_failed_at)
on app.credentials to {app};
