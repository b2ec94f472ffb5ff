-- What one track, artist or album is called. One of the three branches runs.
select
    track.uri,
    track.name,
    track.artist_id,
    track.artist_name,
    track.album_id,
    track.album_name,
    track.duration_ms,
    album.picture_sha256 as picture
from marts.dim_tracks as track
left join marts.dim_albums as album on album.album_id = track.album_id
where %(entity)s = 'track' and track.track_id = %(id)s
union all
select uri, name, null, null, null, null, null, picture_sha256
from marts.dim_artists
where %(entity)s = 'artist' and artist_id = %(id)s
union all
select album.uri, album.name, album.artist_id, artist.name, null, null, null, album.picture_sha256
from marts.dim_albums as album
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
where %(entity)s = 'album' and album.album_id = %(id)s
