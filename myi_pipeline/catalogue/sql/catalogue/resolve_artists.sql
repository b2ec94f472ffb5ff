-- The URI goes to the artist with this name in archives ...
update raw.artists as a
set uri = p.uri
from (
    select distinct on (q.name_key) q.name_key, q.uri
    from pg_temp.polled_artists as q
    where not exists (select from raw.artists as known where known.uri = q.uri)
    order by q.name_key, q.uri
) as p
where a.artist_key = p.name_key and a.uri is null;

-- ... and if that row already has another URI, this is a second artist with the same name.
insert into raw.artists (artist_key, name, uri)
select
    case
        when p.place = 1 and not exists (select from raw.artists as n where n.artist_key = p.name_key) then p.name_key
        else p.uri_key
    end as artist_key,
    p.name,
    p.uri
from (
    select
        q.*,
        row_number() over (partition by q.name_key order by q.uri) as place
    from pg_temp.polled_artists as q
    where not exists (select from raw.artists as known where known.uri = q.uri)
) as p
order by 1;

-- An artist who takes another name keeps the URI.
update raw.artists as a
set name = p.name
from pg_temp.polled_artists as p
where a.uri = p.uri and a.name <> p.name;
