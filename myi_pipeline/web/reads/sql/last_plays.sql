-- The newest plays of a track, a recording, an artist or an album. An album and a recording have no index of their own: the
-- newest of each of their tracks are looked up.
{%- set of_tracks = entity in ('album', 'recording') %}
select
    play.played_at,
    play.ms_played,
    play.is_counted,
    play.content_id as track_id,
    track.name,
    track.artist_id,
    track.artist_name,
    play.album_id,
    track.album_name
from (
    {%- if of_tracks %}
    select newest.*
    from (
        {%- if entity == 'album' %}
            select track_id from marts.dim_tracks where album_id = %(id)s
        {%- else %}
            {% include 'tracks_of_recording.sql' %}
        {%- endif %}
    ) as member
    cross join lateral (
    {%- endif %}
    select *
    from marts.fct_plays
    where
        user_id = %(user_id)s
        and {{ 'content_id = member.track_id' if of_tracks else ('content_id' if entity == 'track' else 'artist_id') ~ ' = %(id)s' }}
    order by played_at desc, play_id desc
    limit %(limit)s
    {%- if of_tracks %}
    ) as newest
    order by newest.played_at desc, newest.play_id desc
    limit %(limit)s
    {%- endif %}
) as play
left join marts.dim_tracks as track on track.track_id = play.content_id
order by play.played_at desc, play.play_id desc
