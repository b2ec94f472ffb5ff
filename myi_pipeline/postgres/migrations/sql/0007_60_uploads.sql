-- Uploads: an archive has its row from the moment it is seen, and the row says what is to happen with it.
alter table app.imports
add column upload_name text,
add column seen_as text,
add column waiting_since timestamptz,
add column tries int not null default 0 check (tries >= 0),
add column next_try_at timestamptz,
add column asked_at timestamptz,
add column request_id text,
add column run_id text,
add column is_refused boolean not null default false,
add column confirmation text check (confirmation in ('needed', 'given'));
comment on column app.imports.upload_name is
'Where it lies: its path below the uploads folder; null when it was handed over by a command.';
comment on column app.imports.seen_as is
'Which files it was when it was last seen: a failed archive that is put there again has another value.';
comment on column app.imports.waiting_since is 'When it was first seen, or was last asked for by a person.';
comment on column app.imports.tries is 'How often the uploads sensor has asked for it since then.';
comment on column app.imports.next_try_at is 'Not asked for again before this moment.';
comment on column app.imports.asked_at is 'Set while a run has been asked for and has not yet begun with it.';
comment on column app.imports.request_id is 'The run key of that run.';
comment on column app.imports.run_id is 'The Dagster run that last worked on it.';
comment on column app.imports.is_refused is 'It failed for a reason that trying again does not change.';
comment on column app.imports.confirmation is
'needed: another user has this archive, or a part of it, and no one has confirmed that it belongs here too.';

alter table app.imports drop constraint imports_kind_check;
-- 'unknown': it was seen, and nothing has looked into it yet, or could.
alter table app.imports add constraint imports_kind_check
check (kind in ('extended_history', 'account_history', 'mixed', 'unknown'));

-- What failed before had its tries: it is not tried again because of an upgrade.
update app.imports set tries = attempt, is_refused = attempt >= 3 where status = 'failed';
create index imports_waiting on app.imports (user_id) where status in ('pending', 'failed');

-- The play files of an archive by size and CRC-32: a ZIP that was packed again, or one file of it, is the same content.
create table app.import_members (
    import_id int not null references app.imports on delete cascade,
    size_bytes bigint not null check (size_bytes >= 0),
    crc32 bigint not null check (crc32 between 0 and 4294967295),
    primary key (import_id, size_bytes, crc32)
);
create index import_members_content on app.import_members (size_bytes, crc32);
comment on table app.import_members is 'Which play files an archive holds, by content. A ZIP names both numbers in its directory.';

-- Says no more than yes or no. An archive that another user has only tried to import in vain is not theirs.
create function app.is_anothers_archive(asking_user int, archive_sha256 bytea, sizes bigint [], crcs bigint [])
returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (
        select
        from app.imports as i
        where
            i.user_id <> asking_user
            and (
                i.sha256 = archive_sha256
                or exists (
                    select
                    from app.import_members as m
                    inner join unnest(sizes, crcs) as asked (size_bytes, crc32)
                        on asked.size_bytes = m.size_bytes and asked.crc32 = m.crc32
                    where m.import_id = i.import_id
                )
            )
            and (
                i.status in ('running', 'completed', 'completed_with_errors')
                or exists (select from app.import_files as f where f.import_id = i.import_id and f.rows_loaded > 0)
            )
    )
$$;
comment on function app.is_anothers_archive(int, bytea, bigint [], bigint []) is
'Whether somebody else has imported an archive with this content, or with one of these files.';
revoke all on function app.is_anothers_archive(int, bytea, bigint [], bigint []) from public;
grant execute on function app.is_anothers_archive(int, bytea, bigint [], bigint []) to {ingest}, {app};

-- The same for some rows of an archive: bytes cannot show it when the file was written or packed again. Two people who
-- listen together share contents, but seldom the second in which a play ends and its milliseconds: half of an extended
-- history is no coincidence. Account data has no seconds, so there it takes nine rows in ten. Rows the requesting user
-- already has are not evidence either way. Each question is one index lookup, so it is asked at most 400 times for the
-- user, 16 times for each other one, and in full only for those who hold any of these.
create function app.are_anothers_rows(
    asking_user int, sources smallint [], times timestamptz [], lengths int [], content_keys uuid []
)
returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with asked as materialized (
        select a.source_id, a.played_at, a.ms_played, c.content_id, a.row_no
        from unnest(sources, times, lengths, content_keys) with ordinality
            as a (source_id, played_at, ms_played, content_key, row_no)
        left join raw.contents as c on c.content_key = a.content_key
    ),
    foreigners as materialized (
        select a.*, row_number() over (partition by a.source_id order by a.row_no) as place
        from asked as a
        where
            a.content_id is not null
            -- OFFSET 0 keeps each question a look into the index: the planner would rather read all plays.
            and not exists (
                select
                from raw.listening_events as e
                where
                    e.user_id = asking_user
                    and e.played_at = a.played_at
                    and e.source_id = a.source_id
                    and e.content_id = a.content_id
                    and e.ms_played = a.ms_played
                offset 0
            )
    ),
    wanted as materialized (
        select
            a.source_id,
            greatest(20, count(*) * case when a.source_id = 2 then 0.9 else 0.5 end) as least_held
        from asked as a
        group by a.source_id
        having count(*) >= 20
    ),
    holders as materialized (
        select u.user_id
        from app.users as u
        where
            u.user_id <> asking_user
            and exists (select from wanted)
            and exists (
                select
                from foreigners as f
                where
                    f.place <= 8
                    and exists (
                        select
                        from raw.listening_events as e
                        where
                            e.user_id = u.user_id
                            and e.played_at = f.played_at
                            and e.source_id = f.source_id
                            and e.content_id = f.content_id
                            and e.ms_played = f.ms_played
                        offset 0
                    )
                offset 0
            )
    )
    select exists (
        select
        from holders as h
        cross join wanted as w
        where w.least_held <= (
            select count(*)
            from foreigners as f
            where
                f.source_id = w.source_id
                and exists (
                    select
                    from raw.listening_events as e
                    where
                        e.user_id = h.user_id
                        and e.played_at = f.played_at
                        and e.source_id = f.source_id
                        and e.content_id = f.content_id
                        and e.ms_played = f.ms_played
                    offset 0
                )
        )
    )
$$;
comment on function app.are_anothers_rows(int, smallint [], timestamptz [], int [], uuid []) is
'Whether one other user holds most of these rows, which the asking user does not hold.';
revoke all on function app.are_anothers_rows(int, smallint [], timestamptz [], int [], uuid []) from public;
grant execute on function app.are_anothers_rows(int, smallint [], timestamptz [], int [], uuid []) to {ingest}, {app};
grant select, insert, update, delete on app.import_members to {ingest};
grant select on app.import_members to {app};
