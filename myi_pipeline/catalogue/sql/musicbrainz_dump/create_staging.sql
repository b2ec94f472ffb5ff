-- All unlogged, including the notes of which tables are complete: after a server crash all are empty and filled again.
create unlogged table if not exists load.musicbrainz_notes (
    table_name text primary key,
    digest text not null,
    rows_read bigint not null,
    bad_rows bigint not null,
    bad_lines text [] not null
);
create unlogged table if not exists load.musicbrainz_artist (id int not null, gid uuid not null, name text not null);
create unlogged table if not exists load.musicbrainz_artist_credit_name (
    artist_credit int not null, position int not null, artist int not null, name text not null, join_phrase text not null
);
create unlogged table if not exists load.musicbrainz_credited (folded text not null, artist_credit int not null);
create unlogged table if not exists load.musicbrainz_genre (name text not null);
create unlogged table if not exists load.musicbrainz_isrc (recording int not null, isrc text not null);
create unlogged table if not exists load.musicbrainz_medium (id int not null, release int not null);
create unlogged table if not exists load.musicbrainz_recording_gid_redirect (gid uuid not null, new_id int not null);
create unlogged table if not exists load.musicbrainz_recording (
    id int not null, gid uuid not null, name text not null, artist_credit int not null, length int, folded text not null
);
create unlogged table if not exists load.musicbrainz_release (id int not null, gid uuid not null, name text not null);
create unlogged table if not exists load.musicbrainz_release_date (
    release int not null, year int, month int, day int
);
create unlogged table if not exists load.musicbrainz_track (recording int not null, medium int not null);
create unlogged table if not exists load.musicbrainz_tag (id int not null, name text not null);
create unlogged table if not exists load.musicbrainz_artist_tag (artist int not null, tag int not null, count int not null);
create unlogged table if not exists load.musicbrainz_recording_tag (
    recording int not null, tag int not null, count int not null
);
