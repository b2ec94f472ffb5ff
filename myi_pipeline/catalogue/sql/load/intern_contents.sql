-- One transaction under one lock: two loaders that meet a new name at the same time would otherwise each decide on an
-- alias without seeing the other's contents. Inserts are sorted, because different orders could deadlock.
select pg_advisory_xact_lock(hashtext('myi.intern_contents'));

analyze {load}_contents;

-- A content gets the names of its latest row by played_at; a row without a title never wins over one with a title.
create temporary table wanted_contents on commit drop as
select distinct on (s.content_key)
    s.content_key,
    s.kind_id,
    s.uri,
    s.title,
    s.creator,
    s.collection,
    s.match_title,
    s.match_key,
    s.played_at,
    s.artist_key,
    s.album_key
from {load}_contents as s
order by s.content_key, (s.title is null), s.played_at desc, s.title, s.creator, s.collection;
analyze wanted_contents;

insert into raw.artists (artist_key, name)
select distinct w.artist_key, w.creator
from wanted_contents as w
where w.artist_key is not null and not exists (select from raw.artists as a where a.artist_key = w.artist_key)
order by w.artist_key
on conflict (artist_key) do nothing;

insert into raw.albums (album_key, artist_id, name)
select distinct w.album_key, a.artist_id, w.collection
from wanted_contents as w
inner join raw.artists as a on a.artist_key = w.artist_key
where w.album_key is not null and not exists (select from raw.albums as b where b.album_key = w.album_key)
order by w.album_key
on conflict (album_key) do nothing;

-- Keys of name-only contents whose candidates change: the old keys of contents that are about to be renamed ...
create temporary table moved_match_keys on commit drop as
select c.match_key
from raw.contents as c
inner join wanted_contents as w on w.content_key = c.content_key
where c.match_key <> w.match_key
union
-- ... and the keys of new and renamed contents.
select w.match_key
from wanted_contents as w
where not exists (select from raw.contents as c where c.content_key = w.content_key and c.match_key = w.match_key);

insert into raw.contents as c (
    content_key, kind_id, uri, title, creator, collection, match_title, match_key,
    artist_id, album_id, names_played_at, names_batch_id
)
select
    w.content_key,
    w.kind_id,
    w.uri,
    w.title,
    w.creator,
    w.collection,
    w.match_title,
    w.match_key,
    a.artist_id,
    b.album_id,
    w.played_at,
    %(batch_id)s
from wanted_contents as w
left join raw.artists as a on a.artist_key = w.artist_key
left join raw.albums as b on b.album_key = w.album_key
left join raw.contents as known on known.content_key = w.content_key
where
    known.content_id is null
    or (
        known.uri is not null and w.title is not null
        and (known.title is null or (w.played_at, %(batch_id)s) > (known.names_played_at, known.names_batch_id))
        -- Skip unchanged names with an unchanged date: rewriting 7,000 contents with their trigrams took 2 s.
        and (
            w.played_at > known.names_played_at
            or (w.title, w.creator, w.collection, w.match_key)
            is distinct from (known.title, known.creator, known.collection, known.match_key)
        )
    )
order by w.content_key
on conflict (content_key) do update
    set
        title = excluded.title,
        creator = excluded.creator,
        collection = excluded.collection,
        match_title = excluded.match_title,
        match_key = excluded.match_key,
        -- With unchanged names keep the artist: Spotify may have said which of two artists with this name it is.
        artist_id = case when excluded.creator = c.creator then c.artist_id else excluded.artist_id end,
        album_id = case
            when excluded.creator = c.creator and excluded.collection = c.collection then c.album_id
            else excluded.album_id
        end,
        names_played_at = excluded.names_played_at,
        names_batch_id = excluded.names_batch_id
    where
        excluded.title is not null
        and (c.title is null or (excluded.names_played_at, excluded.names_batch_id) > (c.names_played_at, c.names_batch_id));

-- What a source knows about a recording beyond its names. What was stored first stays; among several, the latest wins.
with told as (
    select
        s.content_key,
        (array_agg(s.isrc order by s.played_at desc, s.isrc) filter (where s.isrc is not null))[1] as isrc,
        (array_agg(s.recording_mbid order by s.played_at desc, s.recording_mbid) filter (where s.recording_mbid is not null))[1]
            as recording_mbid,
        (array_agg(s.duration_ms order by s.played_at desc, s.duration_ms) filter (where s.duration_ms is not null))[1]
            as duration_ms
    from {load}_contents as s
    where s.isrc is not null or s.recording_mbid is not null or s.duration_ms is not null
    group by s.content_key
)

update raw.contents as c
set
    isrc = coalesce(c.isrc, t.isrc),
    recording_mbid = coalesce(c.recording_mbid, t.recording_mbid),
    duration_ms = coalesce(c.duration_ms, t.duration_ms)
from told as t
where
    c.content_key = t.content_key
    and (
        (c.isrc is null and t.isrc is not null)
        or (c.recording_mbid is null and t.recording_mbid is not null)
        or (c.duration_ms is null and t.duration_ms is not null)
    );
