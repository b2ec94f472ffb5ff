-- Dumps of MusicBrainz that were loaded, so that one that was is not loaded again at once.
create table ops.musicbrainz_loads (
    load_id bigint generated always as identity primary key,
    digest text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    rows_read bigint not null,
    bad_rows bigint not null,
    tracks bigint not null,
    found bigint not null
);
comment on table ops.musicbrainz_loads is 'Dumps of MusicBrainz that were looked in, each with what was found.';
comment on column ops.musicbrainz_loads.digest is 'Of the names, sizes and dates of its files.';
comment on column ops.musicbrainz_loads.tracks is 'Tracks that were looked for.';
grant select, insert on ops.musicbrainz_loads to {ingest};
