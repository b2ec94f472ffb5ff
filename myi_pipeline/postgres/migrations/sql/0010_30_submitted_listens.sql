-- Listens that players push: what the site has accepted and nothing has loaded yet, the log of what was loaded, and what
-- was refused. The site's role reaches these tables by the functions below alone.
alter table app.access_tokens drop constraint access_tokens_scope_check;
alter table app.access_tokens add constraint access_tokens_scope_check
check (scope in ('read', 'operate', 'listens:write'));
comment on column app.access_tokens.scope is
'read: the user''s marts; operate: Dagster''s pages as well, while the user is an operator; listens:write: submits listens only.';

create table ops.listen_inbox (
    -- The sequence of imports and polls: a batch_id in raw names one of them, or one submission.
    submission_id int primary key default nextval('raw.batch_id_seq'),
    user_id int not null references app.users on delete cascade,
    token_id bigint,
    client text check (length(client) <= 200),
    listen_type text not null check (listen_type in ('single', 'import')),
    listens jsonb not null check (jsonb_typeof(listens) = 'array'),
    refused jsonb not null check (jsonb_typeof(refused) = 'array'),
    size_bytes int not null,
    received_at timestamptz not null default now(),
    tries int not null default 0 check (tries >= 0),
    next_try_at timestamptz not null default now(),
    last_error text
);
create index listen_inbox_user on ops.listen_inbox (user_id);
create index listen_inbox_turn on ops.listen_inbox (next_try_at, submission_id);
comment on table ops.listen_inbox is
'Submitted listens that were accepted and are not in raw yet; a row leaves in the transaction that loads it.';
comment on column ops.listen_inbox.listens is 'The listens that are plays, as submissions/listens.py understood them.';
comment on column ops.listen_inbox.refused is 'The listens that are none, with their reasons.';

create table ops.submissions (
    submission_id int primary key,
    user_id int not null references app.users on delete cascade,
    token_id bigint,
    client text,
    listen_type text not null,
    received_at timestamptz not null,
    loaded_at timestamptz not null default now(),
    rows_read int not null,
    rows_loaded int not null check (rows_loaded >= 0),
    rows_present int not null check (rows_present >= 0),
    rows_identical int not null check (rows_identical >= 0),
    rows_quarantined int not null check (rows_quarantined >= 0),
    constraint rows_are_accounted_for
    check (rows_read = rows_loaded + rows_present + rows_identical + rows_quarantined)
);
create index submissions_user on ops.submissions (user_id, received_at);
create index submissions_age on ops.submissions (loaded_at);
comment on table ops.submissions is 'The log of submitted listens, one row a request; may be pruned, nothing is computed from it.';
comment on column ops.submissions.rows_present is 'Listens that an earlier request had brought: a client repeats what got no answer.';
comment on column ops.submissions.rows_identical is 'Listens that the same request holds twice.';

create table ops.refused_listens (
    refused_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    -- Of the listen: one that a client sends again and again is kept once.
    listen_digest uuid not null,
    submission_id int not null,
    client text,
    reason text not null,
    detail text not null,
    listen jsonb,
    times int not null default 1 check (times > 0),
    refused_at timestamptz not null default now(),
    unique (user_id, listen_digest)
);
create index refused_listens_age on ops.refused_listens (refused_at);
comment on table ops.refused_listens is 'Submitted listens that cannot be plays: why, how often they came, and when last.';

-- What a player says is playing now. Nothing of it is kept, and no play is made of it.
create unlogged table ops.told_playing (
    user_id int primary key references app.users on delete cascade,
    told_at timestamptz not null,
    plays_until timestamptz not null,
    answer jsonb not null
);
comment on table ops.told_playing is 'What a player last said is playing, for pages that are open; forgotten after plays_until.';

create table ops.latest_imports (
    user_id int primary key references app.users on delete cascade,
    listened_at bigint not null
);
comment on table ops.latest_imports is
'How far an importer says that it has come, in seconds since 1970: ListenBrainz'' latest-import; nothing of MYI goes by it.';

create function ops.note_latest_import(owner_id int, seconds bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    insert into ops.latest_imports as known (user_id, listened_at) values (owner_id, seconds)
    on conflict (user_id) do update set listened_at = excluded.listened_at
    where known.listened_at < excluded.listened_at
$$;
comment on function ops.note_latest_import(int, bigint) is 'An importer has come so far; never back.';

create function ops.latest_import_of(owner_id int) returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce(max(known.listened_at), 0) from ops.latest_imports as known where known.user_id = owner_id
$$;
comment on function ops.latest_import_of(int) is 'How far an importer has come; 0 before the first.';

-- False when so much of this user waits that no more is taken: nothing drains it.
create function ops.accept_listens(
    owner_id int, token bigint, sent_by text, kind text, good jsonb, bad jsonb, most_bytes bigint
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    added bigint := octet_length(good::text) + octet_length(bad::text);
    waiting bigint;
begin
    select coalesce(sum(i.size_bytes), 0) into waiting from ops.listen_inbox as i where i.user_id = owner_id;
    if waiting + added > most_bytes then
        return false;
    end if;
    insert into ops.listen_inbox (user_id, token_id, client, listen_type, listens, refused, size_bytes)
    values (owner_id, token, sent_by, kind, good, bad, added);
    perform pg_notify('myi_wake', 'listens');
    return true;
end $$;
comment on function ops.accept_listens(int, bigint, text, text, jsonb, jsonb, bigint) is
'Takes the listens of one request for loading, heard within a second; false when the user''s inbox is full.';

create function ops.tell_playing(owner_id int, at timestamptz, until timestamptz, playing jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    insert into ops.told_playing as told (user_id, told_at, plays_until, answer) values (owner_id, at, until, playing)
    on conflict (user_id) do update
        set told_at = excluded.told_at, plays_until = excluded.plays_until, answer = excluded.answer
$$;
comment on function ops.tell_playing(int, timestamptz, timestamptz, jsonb) is 'A player says what is playing.';

create function ops.count_submitted(owner_id int) returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select count(*) from raw.listening_events as e where e.user_id = owner_id and e.source_id = 11
$$;
comment on function ops.count_submitted(int) is 'How many listens players have submitted for one user.';

-- By client, for the person's own page: what came lately, and what waits.
create function ops.submissions_of(owner_id int)
returns table (client text, last_at timestamptz, loaded bigint, present bigint, identical bigint, quarantined bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        s.client, max(s.received_at), sum(s.rows_loaded), sum(s.rows_present), sum(s.rows_identical),
        sum(s.rows_quarantined)
    from ops.submissions as s
    where s.user_id = owner_id
    group by s.client
    order by max(s.received_at) desc
    limit 50
$$;
comment on function ops.submissions_of(int) is 'What each client has submitted for one user, as far back as the log goes.';

create function ops.listens_waiting(owner_id int) returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce(sum(jsonb_array_length(i.listens)), 0) from ops.listen_inbox as i where i.user_id = owner_id
$$;
comment on function ops.listens_waiting(int) is 'How many accepted listens of one user wait to be loaded.';

create function ops.refused_of(owner_id int, most int)
returns table (refused_at timestamptz, client text, reason text, detail text, listen jsonb, times int)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select r.refused_at, r.client, r.reason, r.detail, r.listen, r.times
    from ops.refused_listens as r
    where r.user_id = owner_id
    order by r.refused_at desc, r.refused_id desc
    limit most
$$;
comment on function ops.refused_of(int, int) is 'The last submitted listens of one user that were refused.';

-- What a player told goes before what Spotify was asked, unless Spotify was asked later and names something.
create or replace function ops.now_playing_of(asked_user int)
returns table (read_at timestamptz, fresh_until timestamptz, answer jsonb, waits_since timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        case when told.user_id is null then playing.read_at else told.told_at end,
        case when told.user_id is null then playing.fresh_until else told.plays_until end,
        case when told.user_id is null then playing.answer else told.answer end,
        wish.wished_at
    from (values (asked_user)) as asked (user_id)
    left join ops.now_playing as playing on playing.user_id = asked.user_id
    left join ops.told_playing as told
        on
            told.user_id = asked.user_id
            and told.plays_until > now()
            and not coalesce(
                playing.answer ->> 'state' = 'playing' and playing.read_at > told.told_at and playing.fresh_until > now(),
                false
            )
    left join ops.live_wishes as wish on wish.user_id = asked.user_id and wish.wish = 'now_playing'
$$;

revoke all on function
    ops.accept_listens(int, bigint, text, text, jsonb, jsonb, bigint),
    ops.note_latest_import(int, bigint),
    ops.latest_import_of(int),
    ops.tell_playing(int, timestamptz, timestamptz, jsonb),
    ops.count_submitted(int),
    ops.submissions_of(int),
    ops.listens_waiting(int),
    ops.refused_of(int, int)
from public;
grant execute on function
    ops.accept_listens(int, bigint, text, text, jsonb, jsonb, bigint),
    ops.note_latest_import(int, bigint),
    ops.latest_import_of(int),
    ops.tell_playing(int, timestamptz, timestamptz, jsonb),
    ops.count_submitted(int),
    ops.submissions_of(int),
    ops.listens_waiting(int),
    ops.refused_of(int, int)
to {app};
grant select, update, delete on ops.listen_inbox to {ingest};
grant select, insert, delete on ops.submissions to {ingest};
grant select, insert, update, delete on ops.refused_listens to {ingest};
grant select, delete on ops.told_playing to {ingest};
