-- What was heard on each of some days, and the song and the artist that it had most of. A day's plays lie between its first
-- and its last one.
{%- macro plays(id) %}
            select {{ id }}, ms_played
            from marts.fct_plays
            where
                user_id = %(user_id)s
                and played_at >= day.first_played_at
                and played_at <= day.last_played_at
                and local_date = day.local_date
                and kind = 'track'
                and is_counted
                and {{ id }} is not null
            offset 0
        {% endmacro %}
select
    day.local_date,
    day.plays,
    day.counted_plays,
    day.ms_played,
    top_track.track_id,
    track.name as track_name,
    track.album_id,
    album.picture_sha256 as picture,
    top_track.times as track_times,
    top_artist.artist_id,
    artist.name as artist_name,
    top_artist.times as artist_times
from unnest(%(days)s::date[]) as asked (local_date)
cross join lateral (
    select local_date, plays, counted_plays, ms_played, first_played_at, last_played_at
    from marts.agg_day_user
    where user_id = %(user_id)s and local_date = asked.local_date
    offset 0
) as day
left join lateral (
    {%- set plays_of_tracks = plays('content_id') %}
    {% with plays = plays_of_tracks, entity = 'recording' %}{% include 'songs_of_plays.sql' %}{% endwith %}
    limit 1
) as top_track on true
left join lateral (
    select artist_id, count(*)::int as times
    from ({{ plays('artist_id') }}) as play
    group by artist_id
    order by count(*) desc, sum(ms_played) desc nulls last, artist_id
    limit 1
) as top_artist on true
left join marts.dim_tracks as track on track.track_id = top_track.track_id
left join marts.dim_albums as album on album.album_id = track.album_id
left join marts.dim_artists as artist on artist.artist_id = top_artist.artist_id
order by day.local_date desc
