-- What is said of tracks beside their names: their recording, genres, and when they first came out. No play moves by it, so its part of the
-- change ledger is a table of its own: a mart run recomputes the tracks and the sums over their genres, and no day.
create table ops.changed_facts (
    change_id bigint generated always as identity primary key,
    content_id int not null,
    changed_at timestamptz not null default clock_timestamp()
);
comment on table ops.changed_facts is 'Contents whose recording, genres or first release changed; no play of theirs moves.';

create table ops.mart_run_facts (
    run_id bigint not null,
    content_id int not null,
    primary key (run_id, content_id)
);
comment on table ops.mart_run_facts is 'Contents of which the open run recomputes what is said beside their names.';

grant select, delete on ops.changed_facts to {dbt};
grant select, insert, update, delete on ops.mart_run_facts to {dbt};
grant select on ops.changed_facts to {ingest};

create function ops.mark_facts_of_votes() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id)
    select f.content_id
    from changed_rows as v
    inner join raw.found_recordings as f on f.recording_mbid = v.entity_mbid
    where v.entity_kind = 'recording'
    union
    select f.content_id
    from changed_rows as v
    inner join raw.musicbrainz_credits as c on c.artist_mbid = v.entity_mbid
    inner join raw.found_recordings as f on f.recording_mbid = c.recording_mbid
    where v.entity_kind = 'artist';
    return null;
end $$;
create trigger mark_inserted_votes after insert on raw.musicbrainz_votes
referencing new table as changed_rows for each statement execute function ops.mark_facts_of_votes();
create trigger mark_updated_votes after update on raw.musicbrainz_votes
referencing new table as changed_rows for each statement execute function ops.mark_facts_of_votes();
create trigger mark_deleted_votes after delete on raw.musicbrainz_votes
referencing old table as changed_rows for each statement execute function ops.mark_facts_of_votes();

-- A word that becomes a genre, or is none any more.
create function ops.mark_facts_of_tags() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id)
    with changed as (
        select v.entity_kind, v.entity_mbid
        from new_rows as n
        inner join old_rows as o on o.tag_id = n.tag_id
        inner join raw.musicbrainz_votes as v on v.tag_id = n.tag_id
        where (o.tag, o.is_genre) is distinct from (n.tag, n.is_genre)
    )
    select f.content_id
    from changed
    inner join raw.found_recordings as f on f.recording_mbid = changed.entity_mbid
    where changed.entity_kind = 'recording'
    union
    select f.content_id
    from changed
    inner join raw.musicbrainz_credits as c on c.artist_mbid = changed.entity_mbid
    inner join raw.found_recordings as f on f.recording_mbid = c.recording_mbid
    where changed.entity_kind = 'artist';
    return null;
end $$;
create trigger mark_updated_tags after update on raw.musicbrainz_tags
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_facts_of_tags();

-- Whose a recording is.
create function ops.mark_facts_of_credits() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id)
    select distinct f.content_id
    from changed_rows as c
    inner join raw.found_recordings as f on f.recording_mbid = c.recording_mbid;
    return null;
end $$;
create trigger mark_inserted_credits after insert on raw.musicbrainz_credits
referencing new table as changed_rows for each statement execute function ops.mark_facts_of_credits();
create trigger mark_updated_credits after update on raw.musicbrainz_credits
referencing new table as changed_rows for each statement execute function ops.mark_facts_of_credits();
create trigger mark_deleted_credits after delete on raw.musicbrainz_credits
referencing old table as changed_rows for each statement execute function ops.mark_facts_of_credits();

create function ops.mark_facts_of_recordings() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id)
    select distinct f.content_id
    from new_rows as n
    inner join old_rows as o on o.recording_mbid = n.recording_mbid
    inner join raw.found_recordings as f on f.recording_mbid = n.recording_mbid
    where o.first_release_year is distinct from n.first_release_year;
    return null;
end $$;
create trigger mark_updated_releases after update on raw.musicbrainz_recordings
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_facts_of_recordings();

-- Until a recording is found, a track is as old as its album's edition.
create function ops.mark_facts_of_albums() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_facts (content_id)
    select c.content_id
    from new_rows as n
    inner join old_rows as o on o.album_id = n.album_id
    inner join raw.contents as c on c.album_id = n.album_id
    where o.release_year is distinct from n.release_year;
    return null;
end $$;
create trigger mark_facts_of_albums after update on raw.albums
referencing old table as old_rows new table as new_rows for each statement execute function ops.mark_facts_of_albums();

create or replace function ops.analyze_mart_run() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    analyze
        ops.mart_run_changes, ops.mart_run_days, ops.mart_run_contents, ops.mart_run_users, ops.mart_run_api_days,
        ops.mart_run_facts;
end $$;

create or replace view ops.genre_figures as
select 'musicbrainz_queue' as name, state as label, count(*)::double precision as value
from ops.musicbrainz_queue
group by state
union all
select 'musicbrainz_failing', '', count(*)
from ops.musicbrainz_queue
where state = 'waiting' and failures > 0
union all
select 'musicbrainz_held_up', '', count(*)
from ops.musicbrainz_state
where idle_until > now()
union all
select 'ledger_open_rows', 'facts', count(*)
from ops.changed_facts;

alter table ops.mart_run_changes drop constraint mart_run_changes_ledger_check;
alter table ops.mart_run_changes add constraint mart_run_changes_ledger_check
check (ledger in ('days', 'contents', 'users', 'facts'));
