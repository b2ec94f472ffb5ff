-- The end of every list of tracks that stand out: names and pictures for the rows of `heard`, and of each what it is about.
select
    heard.track_id,
    track.name,
    track.artist_id,
    track.artist_name,
    track.album_id,
    album.picture_sha256 as picture,
    {%- for column in about %}
    heard.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from heard
{%- if entity == 'recording' %}
{%- set number = 'heard.track_id' %}
{% include 'own_track.sql' %}
{%- else %}
left join marts.dim_tracks as track on track.track_id = heard.track_id
{%- endif %}
left join marts.dim_albums as album on album.album_id = track.album_id
order by heard.place
