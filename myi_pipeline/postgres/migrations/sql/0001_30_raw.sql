-- raw: what the sources said, typed, nothing dropped.
create table raw.sources (
    source_id smallint primary key,
    source text not null unique
);
comment on table raw.sources is 'Who reports plays; numbers are never reused.';
insert into raw.sources values (1, 'extended_history'), (2, 'account_history'), (3, 'spotify_api');

create table raw.content_kinds (
    kind_id smallint primary key,
    kind text not null unique
);
insert into raw.content_kinds values (1, 'track'), (2, 'episode'), (3, 'chapter');

create table raw.artists (
    artist_id int generated always as identity primary key,
    name text not null,
    uri text,
    -- A digest, because a name may be longer than an index entry can be.
    artist_key uuid not null unique
);
comment on table raw.artists is 'Artists, interned by name while only archives speak.';

create table raw.albums (
    album_id int generated always as identity primary key,
    artist_id int not null references raw.artists,
    name text not null,
    uri text,
    album_key uuid not null unique
);
comment on table raw.albums is 'Albums, interned by artist and name while only archives speak.';

create table raw.contents (
    content_id int generated always as identity primary key,
    content_key uuid not null unique,
    kind_id smallint not null references raw.content_kinds,
    uri text,
    title text,
    creator text,
    collection text,
    match_title text not null,
    match_key uuid not null,
    artist_id int references raw.artists,
    album_id int references raw.albums,
    duration_ms int check (duration_ms > 0),
    isrc text,
    -- The names are those of the row with the greatest played_at, then batch_id.
    names_played_at timestamptz not null,
    names_batch_id int not null
);
create index contents_match_key on raw.contents (match_key);
comment on table raw.contents is 'Every track, episode and chapter that a source named, by URI when there is one, else by kind and names.';

create table raw.content_aliases (
    content_id int primary key references raw.contents,
    canonical_id int not null references raw.contents,
    reason text not null check (reason in ('only_match_by_name', 'relinked')),
    check (content_id <> canonical_id)
);
create index content_aliases_canonical on raw.content_aliases (canonical_id);
comment on table raw.content_aliases is 'Contents that are another content: marts use the canonical one.';

create table raw.contexts (
    context_id int generated always as identity primary key,
    context_key uuid not null unique,
    platform text,
    conn_country text,
    reason_start text,
    reason_end text
);
comment on table raw.contexts is 'The free-text circumstances of plays, interned as the combinations in which they occur.';

create table raw.listening_events (
    played_at timestamptz not null,
    offline_timestamp timestamptz,
    user_id int not null,
    content_id int,
    ms_played int check (ms_played >= 0),
    context_id int,
    batch_id int not null,
    source_id smallint not null,
    occurrence smallint not null default 0 check (occurrence >= 0),
    shuffle boolean,
    skipped boolean,
    offline boolean,
    incognito boolean,
    constraint listening_events_key
    unique nulls not distinct (user_id, played_at, source_id, content_id, ms_played, occurrence)
) partition by range (played_at);
comment on table raw.listening_events is
'One row per play that a source reported. played_at: UTC, the moment the source reports (in an archive the end of the play).';
comment on column raw.listening_events.content_id is 'NULL: a play of unknown content (a removed track).';
comment on column raw.listening_events.ms_played is 'Milliseconds heard; NULL where the source does not say.';
comment on column raw.listening_events.occurrence is 'Numbers the rows of one archive that agree in the rest of the key.';
comment on column raw.listening_events.batch_id is 'The import (app.imports) or poll that first brought the event.';

create table raw.covered_spans (
    span_id bigint generated always as identity primary key,
    user_id int not null,
    import_id int not null references app.imports on delete cascade,
    source_id smallint not null references raw.sources,
    covered_from timestamptz not null,
    covered_to timestamptz not null,
    check (covered_from <= covered_to)
);
create index covered_spans_user on raw.covered_spans (user_id);
comment on table raw.covered_spans is 'Spans of time for which an import brought a whole history.';

grant select, insert on raw.artists, raw.albums, raw.contexts to {ingest};
grant select, insert, update on raw.contents, raw.artists, raw.albums to {ingest};
grant select, insert, update, delete on raw.content_aliases, raw.covered_spans to {ingest};
-- On the parent only: a partition has no grants, so that nobody writes past the ledger's triggers.
grant select, insert, delete on raw.listening_events to {ingest};
grant select on raw.sources, raw.content_kinds to {ingest};
grant select on all tables in schema raw to {dbt};
