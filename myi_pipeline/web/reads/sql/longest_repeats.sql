-- For each track the session in which it was played most often in a row, the longest first.
select
    heard.track_id,
    track.name,
    track.artist_id,
    track.artist_name,
    track.album_id,
    album.picture_sha256 as picture,
    heard.times,
    heard.local_date
from (
    select *
    from (
        select distinct on (repeated_track_id)
            repeated_track_id as track_id,
            longest_repeat as times,
            local_date,
            ended_at
        from marts.fct_sessions
        where
            user_id = %(user_id)s
            and ended_at >= %(from_at)s
            and ended_at < %(to_at)s
            and longest_repeat >= %(at_least)s
        order by repeated_track_id, longest_repeat desc, ended_at
    ) as run
    order by times desc, ended_at
    limit %(limit)s
) as heard
left join marts.dim_tracks as track on track.track_id = heard.track_id
left join marts.dim_albums as album on album.album_id = track.album_id
order by heard.times desc, heard.ended_at
