-- Anybody may have written this file, and the catalogue is shared by all users, so what is already here stays as it is:
-- names, facts and aliases are imported only for contents that are new here.
-- One transaction under one lock, as in intern_contents: two processes that meet a new name at the same time would
-- overlook each other.
select pg_advisory_xact_lock(hashtext('myi.intern_contents'));

create temporary table told_artist on commit drop as
select t.row_no, r.*
from told_catalogue_artists as t
cross join lateral jsonb_to_record(t.told) as r (artist uuid, name text, uri text);

create temporary table told_album on commit drop as
select t.row_no, r.*
from told_catalogue_albums as t
cross join lateral jsonb_to_record(t.told)
    as r (album uuid, artist uuid, name text, uri text, total_tracks int, release_year smallint);

create temporary table told_content on commit drop as
select t.row_no, k.kind_id, r.*
from told_catalogue_contents as t
cross join lateral jsonb_to_record(t.told) as r (
    content uuid, kind text, uri text, title text, creator text, collection text, match_title text, match_key uuid,
    artist uuid, album uuid, duration_ms int, isrc text, recording_mbid uuid, disc_number smallint, track_number smallint,
    names_played_at timestamptz, names_batch int
)
left join raw.content_kinds as k on k.kind = r.kind;
analyze told_artist, told_album, told_content;

create temporary table new_content on commit drop as
select t.content
from told_content as t
where not exists (select from raw.contents as c where c.content_key = t.content);
analyze new_content;

-- A URI identifies an artist, even if the key here differs.
insert into raw.artists (artist_key, name, uri)
select t.artist, t.name, t.uri
from told_artist as t
where not exists (select from raw.artists as a where a.artist_key = t.artist or a.uri = t.uri)
order by t.row_no
on conflict do nothing;

create temporary table artist_here on commit drop as
select t.artist, coalesce(named.artist_id, by_uri.artist_id) as artist_id
from told_artist as t
left join raw.artists as named on named.artist_key = t.artist
left join raw.artists as by_uri on by_uri.uri = t.uri;

insert into raw.albums (album_key, artist_id, name, uri, total_tracks, release_year)
select t.album, h.artist_id, t.name, t.uri, t.total_tracks, t.release_year
from told_album as t
inner join artist_here as h on h.artist = t.artist
where not exists (select from raw.albums as b where b.album_key = t.album or b.uri = t.uri)
order by t.row_no
on conflict do nothing;

create temporary table album_here on commit drop as
select t.album, coalesce(named.album_id, by_uri.album_id) as album_id
from told_album as t
left join raw.albums as named on named.album_key = t.album
left join raw.albums as by_uri on by_uri.uri = t.uri;

create temporary table moved_match_keys on commit drop as
select distinct t.match_key
from told_content as t
inner join new_content as n on n.content = t.content;

insert into raw.contents (
    content_key, kind_id, uri, title, creator, collection, match_title, match_key, artist_id, album_id, duration_ms, isrc,
    recording_mbid, disc_number, track_number, names_played_at, names_batch_id
)
select
    t.content,
    t.kind_id,
    t.uri,
    t.title,
    t.creator,
    t.collection,
    t.match_title,
    t.match_key,
    a.artist_id,
    b.album_id,
    t.duration_ms,
    t.isrc,
    t.recording_mbid,
    t.disc_number,
    t.track_number,
    least(t.names_played_at, now()),
    coalesce(n.batch_id, %(import_id)s)
from told_content as t
left join artist_here as a on a.artist = t.artist
left join album_here as b on b.album = t.album
left join batch_here as n on n.batch = t.names_batch
where t.content in (select fresh.content from new_content as fresh)
order by t.row_no
on conflict do nothing;

-- Aliases are imported as they are. But if a content here already has the same names, alias_names decides again.
delete from moved_match_keys as m
where
    not exists (
        select from raw.contents as c
        where c.match_key = m.match_key and c.content_key not in (select fresh.content from new_content as fresh)
    );

insert into raw.content_aliases (content_id, canonical_id, reason)
select c.content_id, other.content_id, r.reason
from told_catalogue_aliases as t
cross join lateral jsonb_to_record(t.told) as r (content uuid, goes_by uuid, reason text)
inner join new_content as fresh on fresh.content = r.content
inner join raw.contents as c on c.content_key = r.content
inner join raw.contents as other on other.content_key = r.goes_by
where
    c.content_id <> other.content_id
    and (r.reason = 'relinked' or c.match_key not in (select m.match_key from moved_match_keys as m))
order by c.content_id
on conflict do nothing;

insert into raw.contexts (context_key, platform, conn_country, reason_start, reason_end)
select r.context, r.platform, r.country, r.reason_start, r.reason_end
from told_catalogue_contexts as t
cross join lateral jsonb_to_record(t.told)
    as r (context uuid, platform text, country text, reason_start text, reason_end text)
order by t.row_no
on conflict do nothing;

-- Needed by later parts.
drop table if exists pg_temp.artist_by_key;

create temporary table artist_by_key as
select artist, artist_id from artist_here;
