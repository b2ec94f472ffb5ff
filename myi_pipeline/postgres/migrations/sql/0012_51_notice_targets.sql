-- Where notices are sent: Apprise URLs (e-mail, Telegram, ntfy and others) and webhooks. An address may contain a
-- password, so it is sealed like logins; `shown` is the part that may be displayed.
create table app.notice_targets (
    target_id uuid primary key,
    -- NULL: that of the operator.
    user_id int references app.users on delete cascade,
    channel text not null check (channel in ('apprise', 'webhook')),
    name text not null check (length(name) between 1 and 100),
    shown text not null check (length(shown) <= 300),
    -- version (1 byte), key id (4), nonce (12), ciphertext and tag (16)
    address bytea not null check (length(address) > 33),
    -- The signing key of a webhook, and its former one, which stays valid for a while.
    secret bytea check (length(secret) > 33),
    former_secret bytea check (length(former_secret) > 33),
    former_until timestamptz,
    -- NULL: the default kinds.
    kinds text[] check (cardinality(kinds) between 1 and 50),
    created_at timestamptz not null,
    -- When the receiver answered that it is gone for good.
    stopped_at timestamptz,
    check ((channel = 'webhook') = (secret is not null))
);
create index notice_targets_user on app.notice_targets (user_id);
comment on table app.notice_targets is 'Where notices are sent, for each user and for the operator.';
comment on column app.notice_targets.address is 'Sealed: an Apprise URL, or the URL of a webhook.';
comment on column app.notice_targets.secret is 'Sealed: the signing key of a webhook.';

-- The role of the web interface may replace a secret without being able to read it.
create function app.keep_former_secret() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    new.former_secret := old.secret;
    new.former_until := now() + interval '1 day';
    return new;
end $$;
create trigger keep_former_secret before update of secret on app.notice_targets
for each row when (current_setting('app.sealing_again', true) is distinct from 'yes')
execute function app.keep_former_secret();

grant select, insert, update, delete on app.notice_targets to {ingest};
grant select (
    target_id, user_id, channel, name, shown, former_until, kinds, created_at, stopped_at
) on app.notice_targets to {app};
grant insert, delete on app.notice_targets to {app};
grant update (name, shown, address, secret, kinds, stopped_at) on app.notice_targets to {app};
alter table app.notice_targets enable row level security;
create policy of_one_user on app.notice_targets to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.notice_targets to {ingest} using (true) with check (true);

-- Which keys the secrets are sealed with, so that the start-up can check that all keys exist.
create function app.count_notice_keys() returns table (key_id bytea, secrets bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select substring(each.sealed from 2 for 4), count(*)
    from app.notice_targets as target
    cross join lateral (values (target.address), (target.secret), (target.former_secret)) as each (sealed)
    where each.sealed is not null
    group by 1
$$;
comment on function app.count_notice_keys() is 'Number of addresses and secrets of notices sealed with each key.';
revoke all on function app.count_notice_keys() from public;
grant execute on function app.count_notice_keys() to {app}, {ingest};
