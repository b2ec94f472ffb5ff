-- As in 0010_80_corrections.sql, with an exception for imports of exports.
create or replace function app.check_correction() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    most int := case when new.event_id is null then 200 else 2000 end;
begin
    -- Corrections from an export were checked before, and what they refer to may no longer have plays. The role of the
    -- web interface cannot use this exception, as it may not add plays.
    if current_setting('myi.brings_back', true) = 'yes'
        and has_table_privilege(session_user, 'raw.listening_events', 'insert')
    then
        return new;
    end if;
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
    -- Only what the user has played: reveals nothing about others, and stays in the catalogue as long as its plays.
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
            message = 'only something that you have played can replace another play';
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
