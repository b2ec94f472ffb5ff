-- A page of the albums of one period, in the order of the index of top lists: what ties with the last one seen, what has
-- as many counted plays and less time, what has fewer. Each part is a range of the index; a mixed order has no single one.
with page as (
    (
        select album_id, plays, counted_plays, ms_played, first_played_at, last_played_at
        from marts.agg_period_albums
        where
            user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays = %(after_counted_plays)s
            and ms_played = %(after_ms_played)s
            and album_id > %(after_album_id)s
        order by album_id
        limit %(limit)s
    )
    union all
    (
        select album_id, plays, counted_plays, ms_played, first_played_at, last_played_at
        from marts.agg_period_albums
        where
            user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays = %(after_counted_plays)s
            and ms_played < %(after_ms_played)s
        order by ms_played desc, album_id
        limit %(limit)s
    )
    union all
    (
        select album_id, plays, counted_plays, ms_played, first_played_at, last_played_at
        from marts.agg_period_albums
        where
            user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays < %(after_counted_plays)s
        order by counted_plays desc, ms_played desc, album_id
        limit %(limit)s
    )
),

top as (
    select *
    from page
    order by counted_plays desc, ms_played desc, album_id
    limit %(limit)s
)

select
    top.album_id,
    album.uri,
    album.name,
    album.artist_id,
    artist.name as artist_name,
    top.plays,
    top.counted_plays,
    top.ms_played,
    top.first_played_at,
    top.last_played_at
from top
left join marts.dim_albums as album on album.album_id = top.album_id
left join marts.dim_artists as artist on artist.artist_id = album.artist_id
order by top.counted_plays desc, top.ms_played desc, top.album_id
