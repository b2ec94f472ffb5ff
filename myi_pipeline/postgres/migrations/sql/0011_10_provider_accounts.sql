-- Accounts of people at services that keep playlists. The logins of Spotify's are in app.credentials, whose triggers keep
-- their rows here in step; those of the other services in app.account_credentials.
create table app.provider_accounts (
    account_id int generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    provider text not null check (provider in ('spotify', 'tidal', 'deezer', 'youtube_music')),
    provider_account text not null check (length(provider_account) between 1 and 200),
    name text check (length(name) between 1 and 200),
    client_id text check (length(client_id) between 1 and 128),
    scopes text[] not null default '{}',
    state text not null default 'active' check (state in ('active', 'reauth_required', 'ended')),
    linked_at timestamptz not null,
    paused_at timestamptz,
    ended_at timestamptz,
    unique (user_id, provider, provider_account),
    check ((state = 'ended') = (ended_at is not null))
);
create unique index provider_accounts_holder on app.provider_accounts (provider, provider_account) where state <> 'ended';
comment on table app.provider_accounts is
'Accounts that users have linked: several of one service, each to one user. Unlinking ends the row; what was read stays.';
comment on column app.provider_accounts.provider_account is
'The service''s own id of the account; of Spotify the account_key of app.credentials.';
comment on column app.provider_accounts.state is 'active; reauth_required: the service refused the login; ended: unlinked.';

create table app.account_credentials (
    account_id int primary key references app.provider_accounts on delete cascade,
    -- version (1 byte), key id (4), nonce (12), ciphertext and tag (16)
    refresh_token bytea check (length(refresh_token) > 33),
    key_id bytea generated always as (substring(refresh_token from 2 for 4)) stored,
    access_token bytea check (length(access_token) > 33),
    access_key_id bytea generated always as (substring(access_token from 2 for 4)) stored,
    access_expires_at timestamptz,
    authorised_at timestamptz not null,
    refreshed_at timestamptz,
    refusals int not null default 0 check (refusals >= 0),
    last_error text,
    last_failed_at timestamptz,
    check ((access_token is null) = (access_expires_at is null))
);
comment on table app.account_credentials is
'The login of each account of a service besides Spotify; both tokens are sealed. It goes when the account is unlinked.';

create table ops.account_circuits (
    account_id int primary key references app.provider_accounts on delete cascade,
    state text not null check (state in ('closed', 'open', 'half_open')),
    authorisation_failures int not null default 0,
    network_failures int not null default 0,
    unknown_failures int not null default 0,
    openings int not null default 0,
    opened_at timestamptz,
    open_until timestamptz,
    probe_at timestamptz,
    kind text check (kind in ('authorisation', 'network', 'unknown')),
    reason text,
    check (state = 'closed' or (opened_at is not null and open_until is not null)),
    check (state <> 'half_open' or probe_at is not null)
);
comment on table ops.account_circuits is
'Circuits of what is asked about playlists, one an account: what fails there stops no poll, and no other account.';

grant select, insert, update, delete on app.provider_accounts, app.account_credentials to {ingest};
grant select on app.provider_accounts to {dbt};
grant select, insert, update, delete on ops.account_circuits to {ingest};
-- Whoever serves people may link and unlink, and see that there is a login, but not the login.
grant select, insert, update on app.provider_accounts to {app};
grant select (account_id, key_id, access_expires_at, authorised_at, refreshed_at, refusals, last_error, last_failed_at)
on app.account_credentials to {app};
grant insert, update, delete on app.account_credentials to {app};

alter table app.provider_accounts enable row level security;
create policy of_one_user on app.provider_accounts to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.provider_accounts to {ingest}, {dbt} using (true) with check (true);
alter table app.account_credentials enable row level security;
-- Below the policy of the other table: of one user.
create policy of_one_user on app.account_credentials to {app}
using (exists (select from app.provider_accounts as a where a.account_id = account_credentials.account_id))
with check (exists (select from app.provider_accounts as a where a.account_id = account_credentials.account_id));
create policy of_every_user on app.account_credentials to {ingest} using (true) with check (true);

create function app.count_account_keys(with_access boolean) returns table (key_id bytea, secrets bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select sealed.key_id, count(*)
    from (
        select c.key_id from app.account_credentials as c where c.key_id is not null
        union all
        select c.access_key_id from app.account_credentials as c
        where with_access and c.access_key_id is not null and c.access_key_id is distinct from c.key_id
    ) as sealed
    group by sealed.key_id
$$;
comment on function app.count_account_keys(boolean) is 'How many logins of linked accounts each key seals.';
revoke all on function app.count_account_keys(boolean) from public;
grant execute on function app.count_account_keys(boolean) to {app}, {ingest};
