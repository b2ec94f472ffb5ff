-- The albums on which an artist was heard most, by that artist's tracks alone: a sampler has others too.
select
    of_album.album_id,
    album.name,
    album.artist_id,
    artist.name as artist_name,
    of_album.plays,
    of_album.counted_plays,
    of_album.ms_played
from (
    select
        track.album_id,
        sum(heard.plays)::int as plays,
        sum(heard.counted_plays)::int as counted_plays,
        sum(heard.ms_played)::bigint as ms_played
    from marts.dim_tracks as track
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_tracks
        where user_id = %(user_id)s and track_id = track.track_id and period = 'all'
        offset 0
    ) as heard
    where track.artist_id = %(id)s and track.album_id is not null
    group by track.album_id
    order by 3 desc, 4 desc, track.album_id
    limit %(limit)s
) as of_album
left join marts.dim_albums as album on album.album_id = of_album.album_id
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
order by of_album.counted_plays desc, of_album.ms_played desc, of_album.album_id
