-- What one track, artist or album is called.
{%- if entity == 'track' %}
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
where track.track_id = %(id)s
{%- elif entity == 'artist' %}
select uri, name, picture_sha256 as picture
from marts.dim_artists
where artist_id = %(id)s
{%- else %}
select album.uri, album.name, album.artist_id, artist.name as artist_name, album.picture_sha256 as picture
from marts.dim_albums as album
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
where album.album_id = %(id)s
{%- endif %}
