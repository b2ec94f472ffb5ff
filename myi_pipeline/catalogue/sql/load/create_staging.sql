-- One set of tables per attempt. They are unlogged because an import that fails is repeated from its archive, which MYI
-- does not keep.
-- row_id is file_no * 2^32 + the row's number among the file's plays, so that several readers can write at once. They
-- also number contents and circumstances (columns with few combinations) themselves: half of an import's speed is due
-- to these narrow rows.
create unlogged table {load}_events (
    row_id bigint not null,
    played_at timestamptz not null,
    offline_timestamp timestamptz,
    content_no int,
    circumstance_no int not null,
    ms_played int
) with (autovacuum_enabled = false);
create unlogged table {load}_contents (
    content_no int not null,
    content_key uuid not null,
    kind_id smallint not null,
    uri text,
    title text,
    creator text,
    collection text,
    match_title text not null,
    match_key uuid not null,
    artist_key uuid,
    album_key uuid,
    isrc text,
    recording_mbid uuid,
    duration_ms int,
    played_at timestamptz not null
) with (autovacuum_enabled = false);
create unlogged table {load}_circumstances (
    circumstance_no int not null,
    source_id smallint not null,
    context_key uuid,
    platform text,
    conn_country text,
    reason_start text,
    reason_end text,
    shuffle boolean,
    skipped boolean,
    offline boolean,
    incognito boolean
) with (autovacuum_enabled = false);
-- Only the few rows that share their key, or their time and length (is_shared), with another row of the archive.
create unlogged table {load}_repeated_events (
    row_id bigint primary key,
    occurrence int not null,
    is_identical boolean not null,
    is_shared boolean not null,
    export_no smallint not null
) with (autovacuum_enabled = false);
create unlogged table {load}_content_ids (
    content_no int not null,
    content_id int not null
) with (autovacuum_enabled = false);
create unlogged table {load}_circumstance_ids (
    circumstance_no int not null,
    source_id smallint not null,
    context_id int,
    context_key uuid,
    shuffle boolean,
    skipped boolean,
    offline boolean,
    incognito boolean
) with (autovacuum_enabled = false);
