-- Plays that are sent on to a service that collects listening, at a person's wish, and the journal of what was sent.
create table app.onward_wishes (
    user_id int not null,
    service text not null,
    wished_at timestamptz not null,
    since timestamptz,
    primary key (user_id, service),
    foreign key (user_id, service) references app.linked_services on delete cascade
);
comment on table app.onward_wishes is 'Who wishes that plays are sent on to a linked account, from now on; gone when the wish is.';
comment on column app.onward_wishes.since is 'Plays from here on are sent; NULL: the past too.';

create table app.onward_plays (
    onward_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    service text not null check (service in ('lastfm', 'listenbrainz')),
    account text not null,
    play_id bigint not null,
    listened_at timestamptz not null,
    title text not null,
    artist text not null,
    album text,
    duration_ms int check (duration_ms > 0),
    recording_uri text,
    isrc text,
    is_past boolean not null,
    state text not null default 'planned' check (state in ('planned', 'sent', 'confirmed', 'unknown', 'refused')),
    attempts int not null default 0 check (attempts >= 0),
    attempted_at timestamptz,
    not_before timestamptz,
    decided_at timestamptz,
    reason text,
    -- Of one account a play is told once, whatever becomes of the wish or of the link.
    unique (user_id, service, account, play_id),
    check (state = 'planned' or state = 'refused' or attempts > 0 or reason is not null)
);
create index onward_plays_times on app.onward_plays (user_id, service, account, listened_at);
create index onward_plays_open on app.onward_plays (user_id, service, account) where state in ('planned', 'sent', 'unknown');
comment on table app.onward_plays is
'The journal of plays that are sent on to other services: written before anything is sent, never deleted while the user is there.';
comment on column app.onward_plays.play_id is
'The play in fct_plays; another number when an archive told the same play and stands for it from then on.';
comment on column app.onward_plays.state is
'planned: not sent yet. unknown: it was being sent and no answer came, or the process was killed. sent: the service said that
it took it. confirmed: it is shown there. refused: the service does not take it, see reason.';
comment on column app.onward_plays.recording_uri is 'Spotify''s URI of the track, if one is known.';

alter table app.onward_wishes enable row level security;
create policy of_one_user on app.onward_wishes to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.onward_wishes to {ingest} using (true) with check (true);
alter table app.onward_plays enable row level security;
create policy of_every_user on app.onward_plays to {ingest} using (true) with check (true);
grant select, insert, update, delete on app.onward_wishes to {ingest}, {app};
grant select, insert, update on app.onward_plays to {ingest};

-- How sending stands, for the person's own page.
create function app.onward_of(asked_user int)
returns table (service text, wished_at timestamptz, since timestamptz, state text, plays bigint, last_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select
        linked.service, wish.wished_at, wish.since, told.state, count(told.onward_id), max(told.attempted_at)
    from app.linked_services as linked
    left join app.onward_wishes as wish on wish.user_id = linked.user_id and wish.service = linked.service
    left join app.onward_plays as told
        on told.user_id = linked.user_id and told.service = linked.service and told.account = linked.account
    where linked.user_id = asked_user
    group by linked.service, wish.wished_at, wish.since, told.state
$$;
comment on function app.onward_of(int) is 'How many plays of a user each linked account was told, by state; state is NULL when none was.';
revoke all on function app.onward_of(int) from public;
grant execute on function app.onward_of(int) to {app}, {ingest};
