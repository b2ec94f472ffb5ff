-- What a person asks of Spotify now, through a page that may not use their login: the process that may (`myi up`'s)
-- hears of a wish by a notification, does it, and leaves what is playing here for a few seconds. Nothing of it is kept:
-- the tables are unlogged, and no play is made of what is playing.
create unlogged table ops.live_wishes (
    user_id int not null references app.users on delete cascade,
    wish text not null check (wish in ('poll', 'now_playing')),
    wished_at timestamptz not null,
    primary key (user_id, wish)
);
comment on table ops.live_wishes is 'What users ask of Spotify now: a poll, or what is playing. Gone when it is being done.';

create unlogged table ops.now_playing (
    user_id int primary key references app.users on delete cascade,
    read_at timestamptz not null,
    fresh_until timestamptz not null,
    answer jsonb not null
);
comment on table ops.now_playing is
'What Spotify last said is playing, for pages that are open; never a play. Asked again from fresh_until on.';

-- A wish that stood for a while was not heard, or the process that heard it is gone: it is said again.
create function ops.wish(asked_user int, what text, asked_at timestamptz) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with wished as (
        insert into ops.live_wishes as wish (user_id, wish, wished_at) values (asked_user, what, asked_at)
        on conflict (user_id, wish) do update set wished_at = excluded.wished_at
        where wish.wished_at not between excluded.wished_at - interval '5 seconds' and excluded.wished_at
        returning 1
    )
    select pg_notify('myi_wake', 'live') from wished
$$;
comment on function ops.wish(int, text, timestamptz) is 'A user asks for a poll or for what is playing; heard within a second.';

create function ops.poll_now(asked_user int, asked_at timestamptz) returns boolean
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select ops.wish(asked_user, 'poll', asked_at);
    -- Where nobody hears wishes, the next regular look finds that the turn has come.
    select ops.poll_sooner(asked_user, asked_at)
$$;
comment on function ops.poll_now(int, timestamptz) is
'Asks for a poll at once; false when the turn had come already. Circuits and quota are looked at when the poll runs.';

create function ops.now_playing_of(asked_user int)
returns table (read_at timestamptz, fresh_until timestamptz, answer jsonb, waits_since timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select playing.read_at, playing.fresh_until, playing.answer, wish.wished_at
    from (values (asked_user)) as asked (user_id)
    left join ops.now_playing as playing on playing.user_id = asked.user_id
    left join ops.live_wishes as wish on wish.user_id = asked.user_id and wish.wish = 'now_playing'
$$;
comment on function ops.now_playing_of(int) is 'What was last said to be playing, and since when a wish to know it waits; one row.';

revoke all on function
    ops.wish(int, text, timestamptz), ops.poll_now(int, timestamptz), ops.now_playing_of(int)
from public;
grant execute on function
    ops.wish(int, text, timestamptz), ops.poll_now(int, timestamptz), ops.now_playing_of(int)
to {app};
grant select, insert, update, delete on ops.live_wishes, ops.now_playing to {ingest};

-- What is playing has a bucket of its own: a page that is open costs no poll and no top list.
alter table ops.quota_calls drop constraint quota_calls_bucket_check;
alter table ops.quota_calls add constraint quota_calls_bucket_check
check (bucket in ('polls', 'tokens', 'now_playing', 'personal', 'catalogue'));
alter table ops.quota_blocks drop constraint quota_blocks_bucket_check;
alter table ops.quota_blocks add constraint quota_blocks_bucket_check
check (bucket in ('polls', 'tokens', 'now_playing', 'personal', 'catalogue'));

-- Whoever should look at what changed hears of it when the transaction commits. These statements are rare: a
-- notification takes a lock that all of a database's notifications share, until its transaction has ended.
create function ops.wake_by_users() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'UPDATE' then
        perform pg_notify('myi_wake', 'changes');
    else
        perform pg_notify('myi_wake', 'users');
        perform pg_notify('myi_wake', 'uploads');
    end if;
    return null;
end
$$;
comment on function ops.wake_by_users() is 'New and removed users have partitions to gain and lose; a new time zone moves plays.';
create trigger wake_by_users after insert or delete or update of time_zone on app.users
for each statement execute function ops.wake_by_users();

create function ops.wake_by_imports() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_notify('myi_wake', case when new.status in ('pending', 'running') then 'uploads' else 'changes' end);
    return null;
end
$$;
comment on function ops.wake_by_imports() is 'An archive waits to be imported, or its rows wait for a refresh.';
create trigger wake_by_imports after insert or update of status on app.imports
for each row execute function ops.wake_by_imports();
