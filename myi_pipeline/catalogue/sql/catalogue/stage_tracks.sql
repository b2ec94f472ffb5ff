create temporary table polled_albums on commit drop as
select
    p.uri,
    p.name,
    p.name_key,
    p.uri_key,
    a.artist_id,
    a.artist_key = p.artist_name_key as is_the_name_s,
    p.total_tracks,
    p.release_year
from jsonb_to_recordset(%(albums)s) as p (
    uri text, name text, name_key uuid, uri_key uuid, artist_uri text, artist_name_key uuid,
    total_tracks int, release_year smallint
)
inner join raw.artists as a on a.uri = p.artist_uri;

create temporary table polled_contents on commit drop as
select p.*
from jsonb_to_recordset(%(contents)s) as p (
    content_key uuid, kind_id smallint, uri text, title text, creator text, collection text, match_title text,
    match_key uuid, artist_key uuid, album_key uuid, played_at timestamptz,
    duration_ms int, isrc text, recording_mbid uuid, artist_uri text, album_uri text, disc_number smallint,
    track_number smallint
);

-- Lock rows in the same order as processes that only touch names, which do not take the advisory lock.
select c.content_id
from raw.contents as c
inner join pg_temp.polled_contents as p on p.content_key = c.content_key
order by c.content_key
for no key update of c;
