-- What was heard most of an artist or of an album. Its tracks are found by the catalogue's index, and of each the user's
-- row by its key: offset 0 keeps it at that.
select
    track.track_id,
    track.name,
    track.artist_id,
    track.artist_name,
    heard.plays,
    heard.counted_plays,
    heard.ms_played
from (
    select track_id, name, artist_id, artist_name
    from marts.dim_tracks
    where %(entity)s = 'artist' and artist_id = %(id)s
    union all
    select track_id, name, artist_id, artist_name
    from marts.dim_tracks
    where %(entity)s = 'album' and album_id = %(id)s
) as track
cross join lateral (
    select plays, counted_plays, ms_played
    from marts.agg_period_tracks
    where user_id = %(user_id)s and track_id = track.track_id and period = 'all'
    offset 0
) as heard
order by heard.counted_plays desc, heard.ms_played desc, track.track_id
limit %(limit)s
