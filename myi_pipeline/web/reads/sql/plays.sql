-- A page of plays, newest first. Narrowed to a content or an artist, it is read in the order of that one's index; an album
-- has no index of its own, so the newest of each of its tracks are looked up.
{%- macro newest() %}
    select *
    from marts.fct_plays
    where
        user_id = %(user_id)s
        {%- for column in narrowed_by %}
        and {{ column }} = %({{ column }})s
        {%- endfor %}
        {%- if 'album_id' in narrowed_by %}
        and content_id = track.track_id
        {%- endif %}
        and played_at >= %(from_at)s
        and played_at < %(to_at)s
        and (played_at, play_id) < (%(after_played_at)s, %(after_play_id)s)
    order by played_at desc, play_id desc
    limit %(limit)s
{%- endmacro %}
select
    {% include 'columns_of_a_play.sql' %}
from (
    {%- if 'album_id' in narrowed_by %}
    select play.*
    from marts.dim_tracks as track
    cross join lateral (
        {{- newest() }}
    ) as play
    where track.album_id = %(album_id)s
    order by play.played_at desc, play.play_id desc
    limit %(limit)s
    {%- else %}
    {{- newest() }}
    {%- endif %}
) as page
left join marts.dim_contents as content on content.content_id = page.content_id
order by page.played_at desc, page.play_id desc
