-- What tracks are called that this user has heard.
select track.track_id, track.name, track.artist_name
from marts.dim_tracks as track
where
    track.track_id = any(%(ids)s::int [])
    and exists (
        select from marts.agg_period_tracks_stored as heard
        where heard.user_id = %(user_id)s and heard.track_id = track.track_id and heard.period_start = date '1970-01-01'
    )
