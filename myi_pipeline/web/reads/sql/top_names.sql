-- The end of every top list: names, ranks and pictures of the rows of `top`. A track has the picture of its album.
{%- set figures = ('ms_played', 'counted_plays') if by|default('plays') == 'time' else ('counted_plays', 'ms_played') %}
{%- set order = 'top.' ~ figures[0] ~ ' desc, top.' ~ figures[1] ~ ' desc, top.' ~ entity ~ '_id' %}
select
    (%(seen)s + row_number() over (order by {{ order }}))::int as rank,
    top.{{ entity }}_id,
    {{ entity }}.uri,
    {{ entity }}.name,
    {%- if entity == 'track' %}
    track.artist_id,
    track.artist_name,
    track.album_id,
    track.album_name,
    track.duration_ms,
    {%- elif entity == 'album' %}
    album.artist_id,
    artist.name as artist_name,
    {%- endif %}
    {{ 'album' if entity == 'track' else entity }}.picture_sha256 as picture,
    top.plays,
    top.counted_plays,
    top.ms_played,
    top.first_played_at,
    top.last_played_at
from top
left join marts.dim_{{ entity }}s as {{ entity }} on {{ entity }}.{{ entity }}_id = top.{{ entity }}_id
{%- if entity == 'album' %}
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
{%- elif entity == 'track' %}
left join marts.dim_albums as album on album.album_id = track.album_id
{%- endif %}
order by {{ order }}
