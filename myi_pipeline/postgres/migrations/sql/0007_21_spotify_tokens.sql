-- Access tokens, sealed like refresh tokens, for all processes until they end. Losing a row costs one refresh.
create table app.spotify_tokens (
    user_id int primary key references app.credentials on delete cascade,
    -- version (1 byte), key id (4), nonce (12), ciphertext and tag (16)
    sealed bytea not null check (length(sealed) > 33),
    key_id bytea not null generated always as (substring(sealed from 2 for 4)) stored,
    expires_at timestamptz not null,
    granted_at timestamptz not null
);
comment on table app.spotify_tokens is 'The access token that the last refresh of a login gave; it goes with its login.';

grant select, insert, update, delete on app.spotify_tokens to {ingest};

-- Whoever signs a user in again, ends the login or gives it to another client id does away with the token: whoever serves
-- people may do that without a right on the table.
create function app.forget_spotify_token() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from app.spotify_tokens where user_id = new.user_id;
    return null;
end $$;
create trigger forget_spotify_token after update of authorised_at, client_id, status on app.credentials
for each row when (
    new.authorised_at is distinct from old.authorised_at
    or new.client_id is distinct from old.client_id
    or new.status <> 'active'
)
execute function app.forget_spotify_token();
