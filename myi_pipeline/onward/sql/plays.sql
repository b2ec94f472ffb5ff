-- One user's counted plays of tracks, for the role that reads marts.
select
    play.play_id,
    coalesce(play.started_at, play.played_at) as began_at,
    play.source,
    play.confirmed_by,
    track.name as title,
    track.artist_name as artist,
    track.album_name as album,
    track.duration_ms,
    track.uri,
    track.isrc
from marts.fct_plays as play
inner join marts.dim_tracks as track on track.track_id = play.content_id
where
    play.user_id = %(user_id)s
    and play.kind = 'track'
    and play.is_counted
    and play.played_at >= %(since)s
    and play.played_at < %(until)s
order by play.played_at, play.play_id
