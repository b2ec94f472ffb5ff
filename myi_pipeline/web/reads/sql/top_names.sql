-- The end of every top list: names, ranks and pictures of the rows of `top`. A track has the picture of its album.
select
    (%(seen)s + row_number() over (order by top.counted_plays desc, top.ms_played desc, top.{{ entity }}_id))::int as rank,
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
order by top.counted_plays desc, top.ms_played desc, top.{{ entity }}_id
