-- Services that collect a person's listening from all their players: Last.fm and ListenBrainz. An account is linked by its
-- name; what is public needs no login. A secret (ListenBrainz' token, Last.fm's session key) is sealed as logins are.
create table app.linked_services (
    user_id int not null references app.users on delete cascade,
    service text not null check (service in ('lastfm', 'listenbrainz')),
    account text not null check (length(account) between 1 and 128),
    -- version (1 byte), key id (4), nonce (12), ciphertext and tag (16)
    secret bytea check (length(secret) > 33),
    key_id bytea generated always as (substring(secret from 2 for 4)) stored,
    linked_at timestamptz not null,
    paused_at timestamptz,
    secret_ended_at timestamptz,
    primary key (user_id, service)
);
create unique index linked_services_account on app.linked_services (service, lower(account));
comment on table app.linked_services is
'Accounts at Last.fm and ListenBrainz, at most one of each for a user; an account belongs to one user.';
comment on column app.linked_services.secret is
'Sealed: ListenBrainz'' token or Last.fm''s session key. Reading what is public needs none.';
comment on column app.linked_services.secret_ended_at is 'When the service refused the secret; NULL while it is good.';

grant select, insert, update, delete on app.linked_services to {ingest};
-- Whoever serves people may see that there is a secret, but not the secret.
grant select (user_id, service, account, key_id, linked_at, paused_at, secret_ended_at) on app.linked_services to {app};
grant insert, delete on app.linked_services to {app};
grant update (account, secret, linked_at, paused_at, secret_ended_at) on app.linked_services to {app};
alter table app.linked_services enable row level security;
create policy of_one_user on app.linked_services to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.linked_services to {ingest} using (true) with check (true);

-- By which key each secret is sealed, for a start-up that checks that all keys are there.
create function app.count_service_keys() returns table (key_id bytea, secrets bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select linked.key_id, count(*) from app.linked_services as linked where linked.secret is not null group by linked.key_id
$$;
comment on function app.count_service_keys() is 'How many secrets of linked services each key seals.';
revoke all on function app.count_service_keys() from public;
grant execute on function app.count_service_keys() to {app}, {ingest};

create table ops.service_states (
    user_id int not null,
    service text not null,
    polled_at timestamptz,
    due_at timestamptz,
    -- The newest scrobble of all polls, and when one last brought something new.
    newest_at timestamptz,
    new_seen_at timestamptz,
    -- When the last days, and when everything, were last looked through again.
    looked_back_at timestamptz,
    read_whole_at timestamptz,
    failures int not null default 0 check (failures >= 0),
    last_error text,
    primary key (user_id, service),
    foreign key (user_id, service) references app.linked_services on delete cascade
);
create index service_states_due on ops.service_states (due_at);
comment on table ops.service_states is 'What the next poll of a linked account is held against, and when it is due.';

create table ops.service_stretches (
    stretch_id bigint generated always as identity primary key,
    user_id int not null,
    service text not null,
    since timestamptz,
    read_down_to timestamptz not null,
    opened_at timestamptz not null,
    check (since is null or since <= read_down_to),
    foreign key (user_id, service) references app.linked_services on delete cascade
);
create index service_stretches_link on ops.service_stretches (user_id, service);
comment on table ops.service_stretches is
'Spans of a linked account that are being read backwards, a page at a time; a row stays until its span is read to the end.';
comment on column ops.service_stretches.since is 'Where the span begins; NULL: with the first scrobble there is.';
comment on column ops.service_stretches.read_down_to is 'Everything from here on is read.';

create table ops.service_polls (
    -- The sequence of imports: a batch_id in raw names one import or one page.
    poll_id int primary key default nextval('raw.batch_id_seq'),
    user_id int not null references app.users on delete cascade,
    service text not null,
    account text not null,
    polled_at timestamptz not null,
    items int not null check (items >= 0),
    new_plays int not null check (new_plays >= 0),
    known_plays int not null check (known_plays >= 0),
    late_plays int not null default 0 check (late_plays between 0 and new_plays),
    refused_items int not null default 0 check (refused_items >= 0),
    oldest_played_at timestamptz,
    newest_played_at timestamptz,
    refused jsonb,
    correlation_id text,
    constraint items_are_accounted_for check (items = new_plays + known_plays + refused_items)
);
create index service_polls_user on ops.service_polls (user_id, service, polled_at);
create index service_polls_age on ops.service_polls (polled_at);
comment on table ops.service_polls is
'The log of pages read from linked services; may be pruned at any time, nothing is computed from it.';
comment on column ops.service_polls.refused is 'The first of the items that cannot be plays, with the reason.';

grant select, insert, update, delete on ops.service_states, ops.service_stretches, ops.service_polls to {ingest};

-- What keeps an account from being polled, with the words and the ranks of ops.poll_obstacles, which says it of Spotify.
create view ops.service_obstacles as
select
    linked.user_id,
    linked.service,
    obstacle.rank,
    obstacle.name as obstacle,
    coalesce(obstacle.stands_from, '-infinity') as stands_from,
    obstacle.stands_until
from app.linked_services as linked
left join ops.quota_blocks as block
    on
        block.client_id = case linked.service when 'lastfm' then 'last.fm' else 'listenbrainz.org' end
        and block.bucket = 'personal'
left join ops.service_states as poll on poll.user_id = linked.user_id and poll.service = linked.service
cross join lateral (
    values
    (3, 'paused', linked.paused_at is not null, null::timestamptz, null::timestamptz),
    (6, 'quota_blocked', block.client_id is not null, block.blocked_at - interval '1 minute', block.blocked_until),
    (
        8, 'cooling_down', poll.polled_at is not null,
        poll.polled_at - interval '1 minute', poll.polled_at + interval '1 minute'
    ),
    (
        9, 'not_due', poll.due_at is not null,
        -- No turn is further ahead than 25 hours.
        greatest(poll.due_at - interval '25 hours', poll.polled_at - interval '1 minute'), poll.due_at
    )
) as obstacle (rank, name, stands, stands_from, stands_until)
where obstacle.stands;
comment on view ops.service_obstacles is
'What keeps a linked account from being polled, from when until when (NULL: without an end); the lowest rank is the reason.';
grant select on ops.service_obstacles to {ingest};

-- What a person sees of their own links, as the role that serves people may.
create function ops.services_of(asked_user int)
returns table (
    service text, account text, has_secret boolean, linked_at timestamptz, paused_at timestamptz,
    secret_ended_at timestamptz, polled_at timestamptz, due_at timestamptz, newest_at timestamptz,
    read_whole_at timestamptz, reading_from timestamptz, failures int, last_error text
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        linked.service, linked.account, linked.secret is not null, linked.linked_at, linked.paused_at,
        linked.secret_ended_at, poll.polled_at, poll.due_at, poll.newest_at, poll.read_whole_at,
        (
            select min(stretch.read_down_to)
            from ops.service_stretches as stretch
            where stretch.user_id = linked.user_id and stretch.service = linked.service and stretch.since is null
        ),
        coalesce(poll.failures, 0), poll.last_error
    from app.linked_services as linked
    left join ops.service_states as poll on poll.user_id = linked.user_id and poll.service = linked.service
    where linked.user_id = asked_user
    order by linked.service
$$;
comment on function ops.services_of(int) is
'A user''s linked accounts and how polling them stands; reading_from: how far back a walk through all of it has come.';
revoke all on function ops.services_of(int) from public;
grant execute on function ops.services_of(int) to {app}, {ingest};
