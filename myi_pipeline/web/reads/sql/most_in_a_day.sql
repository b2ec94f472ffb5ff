-- For each track the day of a span on which it counted most often, the most first. Reads the plays of the span.
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
        select distinct on (track_id) track_id, local_date, times
        from (
            select content_id as track_id, local_date, count(*)::int as times
            from marts.fct_plays
            where
                user_id = %(user_id)s
                and played_at >= %(from_at)s
                and played_at < %(to_at)s
                and kind = 'track'
                and is_counted
                and content_id is not null
            group by content_id, local_date
            having count(*) >= %(at_least)s
        ) as day
        order by track_id, times desc, local_date
    ) as best
    order by times desc, local_date, track_id
    limit %(limit)s
) as heard
left join marts.dim_tracks as track on track.track_id = heard.track_id
left join marts.dim_albums as album on album.album_id = track.album_id
order by heard.times desc, heard.local_date, heard.track_id
