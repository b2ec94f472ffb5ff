-- Songs that were heard often and not since a day, most heard first: down the list of all time, of which the first two
-- thousand are enough to be called favourites.
select
    heard.track_id,
    track.name,
    track.artist_id,
    track.artist_name,
    track.album_id,
    album.picture_sha256 as picture,
    heard.counted_plays,
    heard.last_played_at
from (
    select *
    from (
        select recording_id as track_id, counted_plays, ms_played, last_played_at
        from marts.agg_period_recordings_stored
        where user_id = %(user_id)s and period_start = date '1970-01-01'
        order by counted_plays desc, ms_played desc, recording_id
        limit 2000
    ) as favourite
    where last_played_at < %(before)s and counted_plays >= %(at_least)s
    order by counted_plays desc, ms_played desc, track_id
    limit %(limit)s
) as heard
left join marts.dim_tracks as track on track.track_id = heard.track_id
left join marts.dim_albums as album on album.album_id = track.album_id
order by heard.counted_plays desc, heard.ms_played desc, heard.track_id
