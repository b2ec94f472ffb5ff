-- Spotify's logins by account: a user may have several, each with its own tokens. One of them is the main one, which is
-- polled; the others serve playlists. What was stored before is each user's main login, as it was sealed.
insert into app.provider_accounts (user_id, provider, provider_account, client_id, scopes, state, linked_at, paused_at)
select user_id, 'spotify', account_key, client_id, scopes, status, authorised_at, paused_at
from app.credentials
order by user_id;

alter table app.credentials
add column provider_account_id int references app.provider_accounts on delete cascade,
add column is_main boolean not null default true,
-- version (1 byte), key id (4), nonce (12), ciphertext and tag (16)
add column access_token bytea check (length(access_token) > 33),
add column access_key_id bytea generated always as (substring(access_token from 2 for 4)) stored,
add column access_expires_at timestamptz,
add column access_granted_at timestamptz,
add check (
    (access_token is null) = (access_expires_at is null) and (access_token is null) = (access_granted_at is null)
);
update app.credentials as c
set provider_account_id = a.account_id
from app.provider_accounts as a
where a.user_id = c.user_id and a.provider = 'spotify' and a.provider_account = c.account_key;

-- A version before this one, which may be running yet, keeps access tokens by user; this one keeps them with the login.
alter table app.spotify_tokens drop constraint spotify_tokens_user_id_fkey;
alter table app.spotify_tokens
add constraint spotify_tokens_user_id_fkey foreign key (user_id) references app.users on delete cascade;
delete from app.spotify_tokens;
comment on table app.spotify_tokens is 'Access tokens of versions before 0011; now app.credentials.access_token.';

alter table app.credentials drop constraint credentials_pkey;
alter table app.credentials add constraint credentials_pkey primary key (provider_account_id);
create unique index credentials_main on app.credentials (user_id) where is_main;
create index credentials_user on app.credentials (user_id);
comment on table app.credentials is
'Logins at Spotify, one an account; disconnecting deletes the row. A user has at most one main login, which is polled.';
comment on column app.credentials.provider_account_id is 'The account in app.provider_accounts, which a trigger finds or makes.';
comment on column app.credentials.is_main is 'Whether this login is polled; the others serve playlists alone.';
comment on column app.credentials.access_token is
'The access token that the last refresh of the login gave, sealed; losing it costs one refresh.';
grant select (provider_account_id, is_main) on app.credentials to {app};
-- Whoever serves people writes logins, and neither reads nor writes access tokens.
revoke insert, update on app.credentials from {app};
grant
insert (
    user_id, is_main, client_id, account_key, account_id, profile_id, names_asked_at, refresh_token, scopes, status,
    paused_at, authorised_at, refreshed_at, refusals, last_error, last_failed_at, warned_days
),
update (
    user_id, is_main, client_id, account_key, account_id, profile_id, names_asked_at, refresh_token, scopes, status,
    paused_at, authorised_at, refreshed_at, refusals, last_error, last_failed_at, warned_days
)
on app.credentials to {app};

-- Whatever version of MYI signs somebody in, pauses, ends or deletes a login: its account follows. The name sorts after
-- name_account, which must come first.
create function app.number_account() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    known int;
begin
    -- An account may have been known by its other name, which an answer leaves out at times.
    select a.account_id into known
    from app.provider_accounts as a
    where
        a.user_id = new.user_id and a.provider = 'spotify'
        and (
            a.provider_account in (new.account_key, 'account:' || new.account_id, 'id:' || new.profile_id)
            or (tg_op = 'UPDATE' and a.account_id = old.provider_account_id)
        )
        and not exists (
            select from app.credentials as other
            where
                other.provider_account_id = a.account_id
                and (tg_op = 'INSERT' or other.provider_account_id <> old.provider_account_id)
        )
    order by (a.provider_account = new.account_key) desc, (a.state <> 'ended') desc, a.account_id
    limit 1;
    if known is null then
        insert into app.provider_accounts (
            user_id, provider, provider_account, client_id, scopes, state, linked_at, paused_at
        )
        values (
            new.user_id, 'spotify', new.account_key, new.client_id, new.scopes, new.status, new.authorised_at,
            new.paused_at
        )
        returning account_id into known;
        new.provider_account_id := known;
        return new;
    end if;
    if tg_op = 'UPDATE' and known <> old.provider_account_id then
        update app.provider_accounts
        set state = 'ended', ended_at = now(), paused_at = null
        where account_id = old.provider_account_id and state <> 'ended';
    end if;
    update app.provider_accounts as a
    set
        provider_account = new.account_key, client_id = new.client_id, scopes = new.scopes, state = new.status,
        paused_at = new.paused_at, ended_at = null,
        linked_at = case when a.state = 'ended' then new.authorised_at else a.linked_at end
    where a.account_id = known;
    new.provider_account_id := known;
    return new;
end $$;
create trigger number_account
before insert or update of account_key, account_id, profile_id, client_id, scopes, status, paused_at
on app.credentials
for each row execute function app.number_account();

create function app.end_spotify_account() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update app.provider_accounts
    set state = 'ended', ended_at = now(), paused_at = null
    where account_id = old.provider_account_id and state <> 'ended';
    delete from app.spotify_tokens where user_id = old.user_id;
    return null;
end $$;
create trigger end_spotify_account after delete on app.credentials
for each row execute function app.end_spotify_account();

-- An access token is the newest refresh token's: whoever signs in again, ends the login or gives it to another client id
-- does away with it.
create function app.forget_access_token() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.access_token := null;
    new.access_expires_at := null;
    new.access_granted_at := null;
    return new;
end $$;
create trigger forget_access_token before update of authorised_at, client_id, status on app.credentials
for each row when (
    new.authorised_at is distinct from old.authorised_at
    or new.client_id is distinct from old.client_id
    or new.status <> 'active'
)
execute function app.forget_access_token();

-- Whoever pauses, ends or deletes the main login, or makes another one the main login, opens the gap or closes the span
-- in the same transaction. Nothing follows from the others: they are not polled.
create or replace function ops.follow_login() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    state ops.poll_states;
begin
    if not old.is_main then
        return null;
    end if;
    select * into state from ops.poll_states where user_id = old.user_id;
    if tg_op = 'DELETE' or not new.is_main then
        update raw.poll_gaps set gap_end = greatest(gap_start, state.polled_at)
        where user_id = old.user_id and gap_end is null;
        update raw.polled_spans set polled_to = greatest(polled_from, state.polled_at)
        where user_id = old.user_id and polled_to is null;
        delete from ops.poll_states where user_id = old.user_id;
    elsif (old.status = 'active' and old.paused_at is null)
        and (new.status <> 'active' or new.paused_at is not null)
    then
        insert into raw.poll_gaps (user_id, gap_start, reason, noted_at)
        select
            span.user_id,
            greatest(span.polled_from, state.newest_played_at),
            case when new.status <> 'active' then 'login_ended' else 'paused' end,
            coalesce(case when new.status <> 'active' then new.last_failed_at else new.paused_at end, now())
        from raw.polled_spans as span
        where span.user_id = old.user_id and span.polled_to is null
        on conflict (user_id) where gap_end is null do nothing;
    elsif (old.status <> 'active' or old.paused_at is not null)
        and (new.status = 'active' and new.paused_at is null)
    then
        update ops.poll_states set due_at = null, failures = 0 where user_id = old.user_id;
    end if;
    return null;
end $$;
drop trigger follow_login on app.credentials;
create trigger follow_login after update of status, paused_at, is_main or delete on app.credentials
for each row execute function ops.follow_login();

-- As before, of the main login.
create or replace view ops.poll_obstacles as
select
    u.user_id,
    obstacle.rank,
    obstacle.name as obstacle,
    coalesce(obstacle.stands_from, '-infinity') as stands_from,
    obstacle.stands_until
from app.users as u
left join app.credentials as login on login.user_id = u.user_id and login.is_main
left join ops.circuits as circuit on circuit.user_id = u.user_id and circuit.state <> 'closed'
left join ops.quota_blocks as block on block.client_id = login.client_id and block.bucket = 'polls'
left join ops.poll_states as poll on poll.user_id = u.user_id
cross join lateral (
    values
    (1, 'not_signed_in', login.user_id is null, null::timestamptz, null::timestamptz),
    (2, 'sign_in_ended', login.status <> 'active', null, null),
    (3, 'paused', login.paused_at is not null, null, null),
    (4, 'not_allowed', not 'user-read-recently-played' = any(login.scopes), null, null),
    (
        5, 'circuit_open', circuit.user_id is not null,
        case circuit.state when 'open' then circuit.opened_at else circuit.probe_at end - interval '1 minute',
        -- A request that was let through and said nothing for five minutes was killed.
        case circuit.state when 'open' then circuit.open_until else circuit.probe_at + interval '5 minutes' end
    ),
    (6, 'quota_blocked', block.client_id is not null, block.blocked_at - interval '1 minute', block.blocked_until),
    (
        7, 'just_polled', poll.polled_at is not null,
        poll.polled_at - interval '1 minute', poll.polled_at + interval '3 minutes'
    ),
    (
        8, 'cooling_down', poll.polled_at is not null,
        poll.polled_at - interval '1 minute', poll.polled_at + interval '5 minutes'
    ),
    (
        9, 'not_due', poll.due_at is not null,
        -- No turn is further ahead than 25 hours.
        greatest(poll.due_at - interval '25 hours', poll.polled_at - interval '1 minute'), poll.due_at
    )
) as obstacle (rank, name, stands, stands_from, stands_until)
where obstacle.stands;

create or replace function ops.want_top_lists(asked_user int, asked_at timestamptz) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select ops.wish(login.user_id, 'top_lists', asked_at)
    from app.credentials as login
    left join ops.top_refreshes as last on last.user_id = login.user_id
    where
        login.user_id = asked_user
        and login.is_main
        and login.status = 'active'
        and login.paused_at is null
        and 'user-top-read' = any(login.scopes)
        and (last.refreshed_at is null or last.refreshed_at < asked_at - interval '24 hours')
        and (last.retry_at is null or last.retry_at < asked_at)
$$;

alter table app.sign_ins add column is_further boolean not null default false;
comment on column app.sign_ins.is_further is
'Whether the account is to be linked for its playlists, beside the one that is polled.';
