-- Exports of MYI are imported like archives, and contain decisions on recordings.
alter table app.imports drop constraint imports_kind_check;
alter table app.imports add constraint imports_kind_check check (
    kind in (
        'extended_history', 'account_history', 'mixed', 'unknown', 'lastfm_export', 'lastfm_export_minutes',
        'listenbrainz_export', 'maloja_export', 'koito_export', 'scrobbler_log', 'myi_export'
    )
);

grant insert on app.recording_decisions to {ingest};
create policy may_be_brought_back on app.recording_decisions for insert to {ingest} with check (true);

-- A song may get its name and URI from a track that only somebody else has played. Marts show it, so it is exported.
grant select on ops.content_recordings to {ingest};
