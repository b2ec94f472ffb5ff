-- Listening that other services and players report, and what each source is like: rules ask for these traits, not for a
-- source by its number.
alter table raw.sources
-- The most trusted first.
add column rank smallint,
-- archive: a file that a person hands in; polled: we ask a service; pushed: a player reports by itself.
add column arrives text check (arrives in ('archive', 'polled', 'pushed')),
-- What its played_at is: the end of the play, its start, or what the resolution learns for each user and device.
add column clock text check (clock in ('end', 'start', 'learnt')),
-- Its times are cut to so much.
add column precision_ms int check (precision_ms > 0),
-- Whether each of its rows is a play that counts although nobody says how long it was heard: such a source reports only
-- what was heard long enough.
add column reports_counted boolean;

update raw.sources as s
set
    rank = t.rank,
    arrives = t.arrives,
    clock = t.clock,
    precision_ms = t.precision_ms,
    reports_counted = t.reports_counted
from (
    values
    (1, 10, 'archive', 'end', 1000, false),
    (2, 20, 'archive', 'end', 60000, false),
    (3, 30, 'polled', 'learnt', 1, true)
) as t (source_id, rank, arrives, clock, precision_ms, reports_counted)
where s.source_id = t.source_id;

insert into raw.sources (source_id, source, rank, arrives, clock, precision_ms, reports_counted)
values
(4, 'lastfm_export', 50, 'archive', 'start', 1000, true),
(5, 'listenbrainz_export', 60, 'archive', 'start', 1000, true),
(6, 'maloja_export', 75, 'archive', 'start', 1000, true),
(7, 'koito_export', 70, 'archive', 'start', 1000, true),
(8, 'scrobbler_log', 45, 'archive', 'start', 1000, true),
(9, 'lastfm_api', 51, 'polled', 'start', 1000, true),
(10, 'listenbrainz_api', 61, 'polled', 'start', 1000, true),
(11, 'submitted_listens', 40, 'pushed', 'start', 1000, true),
-- Last.fm's plays in files that some exporters cut to the minute.
(12, 'lastfm_export_minutes', 55, 'archive', 'start', 60000, true);

alter table raw.sources
alter column rank set not null,
alter column arrives set not null,
alter column clock set not null,
alter column precision_ms set not null,
alter column reports_counted set not null;
comment on column raw.sources.rank is 'The source that knows best has the lowest; it stands for a play that several report.';
comment on column raw.sources.arrives is 'archive, polled or pushed.';
comment on column raw.sources.clock is 'What its played_at is: end or start of the play, or learnt for each user and device.';
comment on column raw.sources.precision_ms is 'What its times are cut to, in milliseconds.';
comment on column raw.sources.reports_counted is 'Whether a row without a time heard is a play that counts.';
comment on table raw.listening_events is
'One row per play that a source reported. played_at: UTC, the moment the source reports: the end of the play, its start,
or either, as raw.sources.clock says.';

-- MusicBrainz' name for a recording, where a source gives it. As for a recording code the first that was told stays.
alter table raw.contents add column recording_mbid uuid;
comment on column raw.contents.recording_mbid is 'MusicBrainz'' recording, as a source named it; NULL if none did.';

create or replace function ops.mark_renamed_contents() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into ops.changed_contents (content_id)
    select n.content_id
    from new_rows as n
    inner join old_rows as o on o.content_id = n.content_id
    where (
            o.uri, o.title, o.creator, o.collection, o.match_title, o.artist_id, o.album_id, o.duration_ms, o.isrc,
            o.recording_mbid
        ) is distinct from (
            n.uri, n.title, n.creator, n.collection, n.match_title, n.artist_id, n.album_id, n.duration_ms, n.isrc,
            n.recording_mbid
        );
    return null;
end $$;

alter table app.imports drop constraint imports_kind_check;
alter table app.imports add constraint imports_kind_check check (
    kind in (
        'extended_history', 'account_history', 'mixed', 'unknown', 'lastfm_export', 'lastfm_export_minutes',
        'listenbrainz_export', 'maloja_export', 'koito_export', 'scrobbler_log'
    )
);
