-- What people say about their own plays: hide these, forget those, this clock was wrong, that was another song. Raw keeps
-- what the sources said; the marts apply these rows to it, whenever a play arrives, and an undone one no longer.
create table app.corrections (
    correction_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    action text not null check (action in ('hide', 'delete', 'correct')),
    -- Which plays, as their sources report them; what is NULL does not narrow.
    event_id bigint,
    event_at timestamptz,
    from_at timestamptz,
    until_at timestamptz,
    artist_id int,
    source_id smallint references raw.sources,
    kind text check (kind in ('track', 'episode', 'chapter', 'unknown')),
    -- What a correction says.
    shift_s int check (shift_s <> 0 and abs(shift_s) <= 31622400),
    to_content_id int,
    note text check (length(note) <= 200),
    created_at timestamptz not null default now(),
    undone_at timestamptz,
    check ((event_id is null) = (event_at is null)),
    check (from_at < until_at),
    check (num_nonnulls(event_id, from_at, until_at, artist_id, source_id, kind) > 0),
    check ((action = 'correct') = (num_nonnulls(shift_s, to_content_id) > 0))
);
create index corrections_user on app.corrections (user_id, correction_id);
comment on table app.corrections is 'What users hid, deleted or corrected of their own plays; raw is never changed by it.';
comment on column app.corrections.event_id is
'One play: the digest of the event that stood for it (see event_id in dbt). It goes on to mean the play that holds that event.';
comment on column app.corrections.event_at is 'played_at of that event, by which it is found.';
comment on column app.corrections.from_at is 'Plays that their source reports at this moment (UTC) or later.';
comment on column app.corrections.until_at is 'Plays that their source reports before this moment (UTC).';
comment on column app.corrections.artist_id is 'Plays of this artist, as the catalogue knows the reported content.';
comment on column app.corrections.source_id is 'Plays for which an event of this source stands.';
comment on column app.corrections.shift_s is 'Seconds by which the plays move; a clock that was an hour slow takes 3600.';
comment on column app.corrections.to_content_id is 'What was really played; a content that the user has played.';
comment on column app.corrections.undone_at is 'When it was taken back: the plays are again what the sources say.';

grant select, insert, update (undone_at) on app.corrections to {app}, {ingest};
grant select on app.corrections to {dbt};

-- Whoever serves people may not read raw; which sources there are is no secret.
create function app.list_sources() returns table (source_id smallint, source text, rank smallint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select s.source_id, s.source, s.rank from raw.sources as s
$$;
comment on function app.list_sources() is 'Who reports plays: number, name, and the most trusted by the lowest rank.';
revoke all on function app.list_sources() from public;
grant execute on function app.list_sources() to {app}, {ingest};

alter table app.corrections enable row level security;
create policy of_one_user on app.corrections to {app}
using (user_id = nullif(current_setting('app.user_id', true), '')::int)
with check (user_id = nullif(current_setting('app.user_id', true), '')::int);
create policy of_every_user on app.corrections to {ingest} using (true) with check (true);
create policy is_counted_by_marts on app.corrections for select to {dbt} using (true);

-- The days that a correction may touch, by what raw holds now. A play's day is that of the event that stands for it, which
-- may be another event than the named one: of the next day, or a row that was reported at a later sync. And it may be
-- named by an event of the same moment. So all of these count.
create function ops.mark_days_of_correction(correction app.corrections) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if correction.event_id is not null then
        insert into ops.changed_days (user_id, utc_day)
        select correction.user_id, (correction.event_at at time zone 'UTC')::date + near.days
        from generate_series(-1, 1) as near (days)
        union
        select correction.user_id, (e.played_at at time zone 'UTC')::date
        from raw.listening_events as e
        where
            e.user_id = correction.user_id
            and e.offline_timestamp between correction.event_at - interval '1 day' and correction.event_at + interval '1 day'
            and e.offline
            and e.played_at - e.offline_timestamp > interval '45 minutes';
    else
        insert into ops.changed_days (user_id, utc_day)
        select distinct correction.user_id, (e.played_at at time zone 'UTC' + near.hours)::date
        from raw.listening_events as e
        cross join (values (interval '-1 hour'), (interval '0'), (interval '1 hour')) as near (hours)
        where
            e.user_id = correction.user_id
            and (correction.from_at is null or e.played_at >= correction.from_at)
            and (correction.until_at is null or e.played_at < correction.until_at)
            and (correction.source_id is null or e.source_id = correction.source_id)
            and (
                correction.artist_id is null
                or e.content_id is null
                or e.content_id in (
                    select c.content_id
                    from raw.contents as c
                    left join raw.content_aliases as a on a.content_id = c.content_id
                    left join raw.contents as canonical on canonical.content_id = a.canonical_id
                    where correction.artist_id in (c.artist_id, canonical.artist_id)
                )
            );
    end if;
end $$;
comment on function ops.mark_days_of_correction(app.corrections) is
'Writes the days of a correction to the change ledger; called by the trigger of app.corrections.';
revoke all on function ops.mark_days_of_correction(app.corrections) from public;

create function ops.mark_correction() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op <> 'INSERT' then
        perform ops.mark_days_of_correction(old);
    end if;
    if tg_op <> 'DELETE' then
        perform ops.mark_days_of_correction(new);
    end if;
    return null;
end $$;
revoke all on function ops.mark_correction() from public;
create trigger mark_correction after insert or update or delete on app.corrections
for each row execute function ops.mark_correction();

-- What holds whoever asks. Each run compares a user's plays with every correction that describes plays, and looks up each
-- that names one: both stay few. The lock keeps two at once from passing the limit together.
create function app.check_correction() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    most int := case when new.event_id is null then 200 else 2000 end;
begin
    perform pg_advisory_xact_lock(hashtext('myi.corrections'), new.user_id);
    if (
        select count(*) >= most
        from app.corrections as c
        where
            c.user_id = new.user_id
            and c.undone_at is null
            and (c.event_id is null) = (new.event_id is null)
    ) then
        raise exception using
            errcode = 'MYI02',
            message = format('there are %s corrections already; undo some first', most);
    end if;
    if new.event_id is not null and not exists (
        select from raw.listening_events as e
        where
            e.user_id = new.user_id
            and e.played_at = new.event_at
            and hash_record_extended(
                row(e.user_id, e.source_id, timestamptz_send(e.played_at), e.content_id, e.ms_played, e.occurrence), 0
            ) = new.event_id
    ) then
        raise exception using errcode = 'MYI03', message = 'you have no such play';
    end if;
    -- Only what the user has played: nothing is said of what others have, and it stays in the catalogue with its plays.
    if new.to_content_id is not null and not exists (
        select from raw.listening_events as e
        where
            e.user_id = new.user_id
            and (
                e.content_id = new.to_content_id
                or e.content_id in (select a.content_id from raw.content_aliases as a where a.canonical_id = new.to_content_id)
            )
    ) then
        raise exception using
            errcode = 'MYI03',
            message = 'only what you have played yourself can stand for another play';
    end if;
    if new.artist_id is not null and not exists (
        select
        from raw.contents as c
        left join raw.content_aliases as a on a.content_id = c.content_id
        left join raw.contents as canonical on canonical.content_id = a.canonical_id
        inner join raw.listening_events as e on e.content_id = c.content_id and e.user_id = new.user_id
        where new.artist_id in (c.artist_id, canonical.artist_id)
    ) then
        raise exception using errcode = 'MYI03', message = 'you have played nothing by this artist';
    end if;
    return new;
end $$;
revoke all on function app.check_correction() from public;
create trigger check_correction before insert on app.corrections
for each row execute function app.check_correction();
