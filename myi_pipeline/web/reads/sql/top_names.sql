-- The end of every top list: names, ranks and pictures of the rows of `top`. A track has the picture of its album.
{%- set figures = ('ms_played', 'counted_plays') if by|default('plays') == 'time' else ('counted_plays', 'ms_played') %}
{%- set shown = 'track' if entity == 'recording' else entity %}
{%- set order = 'top.' ~ figures[0] ~ ' desc, top.' ~ figures[1] ~ ' desc, top.' ~ shown ~ '_id' %}
select
    (%(seen)s + row_number() over (order by {{ order }}))::int as rank,
    top.{{ shown }}_id,
    {{ shown }}.uri,
    {{ shown }}.name,
    {%- if shown == 'track' %}
    track.artist_id,
    track.artist_name,
    track.album_id,
    track.album_name,
    track.duration_ms,
    {%- elif shown == 'album' %}
    album.artist_id,
    artist.name as artist_name,
    {%- endif %}
    {{ 'album' if shown == 'track' else shown }}.picture_sha256 as picture,
    top.plays,
    top.counted_plays,
    top.ms_played,
    top.first_played_at,
    top.last_played_at
from top
{%- if entity == 'recording' %}
{%- set number = 'top.track_id' %}
{% include 'own_track.sql' %}
{%- else %}
left join marts.dim_{{ shown }}s as {{ shown }} on {{ shown }}.{{ shown }}_id = top.{{ shown }}_id
{%- endif %}
{%- if shown == 'album' %}
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
{%- elif shown == 'track' %}
left join marts.dim_albums as album on album.album_id = track.album_id
{%- endif %}
order by {{ order }}
