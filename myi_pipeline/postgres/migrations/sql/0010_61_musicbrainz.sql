-- What MusicBrainz answered: recordings, their artists, and the genres and tags that its editors voted for. Kept for
-- ever, asked for again after a year.
create table raw.musicbrainz_recordings (
    recording_mbid uuid primary key,
    title text not null,
    length_ms int check (length_ms > 0),
    -- As MusicBrainz has it: 1999, 1999-05 or 1999-05-21.
    first_release_date text check (first_release_date ~ '^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$'),
    first_release_year smallint generated always as (left(first_release_date, 4)::smallint) stored,
    release_mbid uuid,
    release_name text,
    told_at timestamptz not null
);
comment on table raw.musicbrainz_recordings is 'Recordings as MusicBrainz describes them. CC0.';
comment on column raw.musicbrainz_recordings.first_release_date is 'Year, year and month, or day; NULL where nobody has entered it.';
comment on column raw.musicbrainz_recordings.release_mbid is 'The earliest release that the answer names.';

create table raw.musicbrainz_artists (
    artist_mbid uuid primary key,
    name text not null,
    told_at timestamptz not null
);
comment on table raw.musicbrainz_artists is 'Artists as MusicBrainz names them. CC0.';

create table raw.musicbrainz_credits (
    recording_mbid uuid not null references raw.musicbrainz_recordings on delete cascade,
    place smallint not null check (place > 0),
    artist_mbid uuid not null references raw.musicbrainz_artists,
    credited_as text not null,
    join_phrase text not null,
    primary key (recording_mbid, place)
);
create index musicbrainz_credits_artist on raw.musicbrainz_credits (artist_mbid);
comment on table raw.musicbrainz_credits is 'The artists of a recording, in order; the names and phrases in a row are its credit. CC0.';

create table raw.musicbrainz_tags (
    tag_id int generated always as identity primary key,
    tag text not null unique check (char_length(tag) between 1 and 255),
    is_genre boolean not null default false
);
comment on table raw.musicbrainz_tags is 'Words that editors of MusicBrainz vote for. CC BY-NC-SA 3.0.';
comment on column raw.musicbrainz_tags.is_genre is 'Whether MusicBrainz has it in its list of genres; else it is a free tag.';

create table raw.musicbrainz_votes (
    entity_kind text not null check (entity_kind in ('recording', 'artist')),
    entity_mbid uuid not null,
    tag_id int not null references raw.musicbrainz_tags,
    votes int not null,
    primary key (entity_kind, entity_mbid, tag_id)
);
create index musicbrainz_votes_tag on raw.musicbrainz_votes (tag_id);
comment on table raw.musicbrainz_votes is 'How many editors say that a genre or tag fits. CC BY-NC-SA 3.0.';

grant select, insert, update, delete
on raw.musicbrainz_recordings, raw.musicbrainz_artists, raw.musicbrainz_credits, raw.musicbrainz_tags, raw.musicbrainz_votes
to {ingest};
grant select
on raw.musicbrainz_recordings, raw.musicbrainz_artists, raw.musicbrainz_credits, raw.musicbrainz_tags, raw.musicbrainz_votes
to {dbt};

-- What MusicBrainz is still to be asked. A row is a track or an artist; answered rows stay, and come round after a year.
create table ops.musicbrainz_queue (
    entry_id bigint generated always as identity primary key,
    content_id int unique,
    artist_mbid uuid unique,
    plays bigint not null default 0,
    state text not null default 'waiting' check (state in ('waiting', 'found', 'not_found')),
    due_at timestamptz not null,
    failures int not null default 0 check (failures >= 0),
    -- A digest of what was known of the track when it was last asked for.
    asked_with uuid,
    lease_id uuid,
    leased_until timestamptz,
    last_error text,
    answered_at timestamptz,
    check (num_nonnulls(content_id, artist_mbid) = 1),
    check ((lease_id is null) = (leased_until is null)),
    check (state = 'waiting' or lease_id is null)
);
create index musicbrainz_queue_next on ops.musicbrainz_queue (plays desc, entry_id) where state = 'waiting';
create index musicbrainz_queue_stale on ops.musicbrainz_queue (due_at) where state <> 'waiting';
comment on table ops.musicbrainz_queue is 'Tracks and artists to ask MusicBrainz about, most played first.';
comment on column ops.musicbrainz_queue.state is 'not_found: asked on answered_at, and nothing safe was found.';
comment on column ops.musicbrainz_queue.due_at is 'When it may be asked; of answered rows, when the answer is too old.';
comment on column ops.musicbrainz_queue.leased_until is 'Until then one worker alone asks; whoever died lets go by it.';

create table ops.musicbrainz_state (
    only_row boolean primary key default true check (only_row),
    mart_run_id bigint,
    idle_until timestamptz,
    idle_reason text
);
insert into ops.musicbrainz_state default values;
comment on column ops.musicbrainz_state.mart_run_id is 'The mart run from whose numbers of plays the queue was filled.';
comment on column ops.musicbrainz_state.idle_until is 'MusicBrainz asked to wait, or could not be reached; only schedules go by it.';

grant select, insert, update, delete on ops.musicbrainz_queue to {ingest};
grant select, update on ops.musicbrainz_state to {ingest};

-- Services that allow one request in a certain time, whoever asks: one row each, which is the queue at their door.
create table ops.service_paces (
    service text primary key,
    next_at timestamptz not null,
    blocked_until timestamptz,
    blocks_in_a_row int not null default 0 check (blocks_in_a_row >= 0)
);
comment on table ops.service_paces is 'When a service may be asked next, over all processes and machines.';
comment on column ops.service_paces.blocked_until is 'The service asked for silence until then.';
grant select, insert, update, delete on ops.service_paces to {ingest};

create view ops.genre_figures as
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
where idle_until > now();
comment on view ops.genre_figures is 'Figures for metrics, as in ops.figures: what MusicBrainz is still to be asked.';
grant select on ops.genre_figures to {monitor};
