-- As for artists, the URI goes to the album with these names in archives, unless that is another artist's or has
-- another URI.
update raw.albums as b
set uri = p.uri
from (
    select distinct on (q.name_key) q.name_key, q.uri, q.artist_id
    from pg_temp.polled_albums as q
    where q.is_the_name_s and not exists (select from raw.albums as known where known.uri = q.uri)
    order by q.name_key, q.uri
) as p
where b.album_key = p.name_key and b.artist_id = p.artist_id and b.uri is null;

insert into raw.albums (album_key, artist_id, name, uri)
select
    case
        when
            p.is_the_name_s and p.place = 1
            and not exists (select from raw.albums as n where n.album_key = p.name_key)
            then p.name_key
        else p.uri_key
    end as album_key,
    p.artist_id,
    p.name,
    p.uri
from (
    select
        q.*,
        row_number() over (partition by q.name_key, q.is_the_name_s order by q.uri) as place
    from pg_temp.polled_albums as q
    where not exists (select from raw.albums as known where known.uri = q.uri)
) as p
order by 1;

update raw.albums as b
set name = p.name
from pg_temp.polled_albums as p
where b.uri = p.uri and b.name <> p.name;

update raw.albums as b
set
    total_tracks = coalesce(p.total_tracks, b.total_tracks),
    release_year = coalesce(p.release_year, b.release_year)
from pg_temp.polled_albums as p
where
    b.uri = p.uri
    and (p.total_tracks <> coalesce(b.total_tracks, 0) or p.release_year <> coalesce(b.release_year, 0));

-- Contents, which are interned next, find their artist and album by these keys.
update pg_temp.polled_contents as p
set artist_key = a.artist_key
from raw.artists as a
where a.uri = p.artist_uri;

update pg_temp.polled_contents as p
set album_key = b.album_key
from raw.albums as b
where b.uri = p.album_uri;
