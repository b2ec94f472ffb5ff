-- The newest plays of a track, an artist or an album. An album has no index of its own: the newest of each of its tracks
-- are looked up. One of the branches runs.
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
    (
        select *
        from marts.fct_plays
        where %(entity)s = 'track' and content_id = %(id)s and user_id = %(user_id)s
        order by played_at desc, play_id desc
        limit %(limit)s
    )
    union all
    (
        select newest.*
        from (
            {% include 'tracks_of_recording.sql' %}
        ) as of_it
        cross join lateral (
            select *
            from marts.fct_plays
            where content_id = of_it.track_id and user_id = %(user_id)s
            order by played_at desc, play_id desc
            limit %(limit)s
        ) as newest
        where %(entity)s = 'recording'
        order by newest.played_at desc, newest.play_id desc
        limit %(limit)s
    )
    union all
    (
        select *
        from marts.fct_plays
        where %(entity)s = 'artist' and artist_id = %(id)s and user_id = %(user_id)s
        order by played_at desc, play_id desc
        limit %(limit)s
    )
    union all
    (
        select newest.*
        from marts.dim_tracks as on_it
        cross join lateral (
            select *
            from marts.fct_plays
            where content_id = on_it.track_id and user_id = %(user_id)s
            order by played_at desc, play_id desc
            limit %(limit)s
        ) as newest
        where %(entity)s = 'album' and on_it.album_id = %(id)s
        order by newest.played_at desc, newest.play_id desc
        limit %(limit)s
    )
) as play
left join marts.dim_tracks as track on track.track_id = play.content_id
order by play.played_at desc, play.play_id desc
