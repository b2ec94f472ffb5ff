-- What one track, artist or album is called. One of the three branches runs.
select
    uri,
    name,
    artist_id,
    artist_name,
    album_id,
    album_name,
    duration_ms
from marts.dim_tracks
where %(entity)s = 'track' and track_id = %(id)s
union all
select uri, name, null, null, null, null, null
from marts.dim_artists
where %(entity)s = 'artist' and artist_id = %(id)s
union all
select album.uri, album.name, album.artist_id, artist.name, null, null, null
from marts.dim_albums as album
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
where %(entity)s = 'album' and album.album_id = %(id)s
