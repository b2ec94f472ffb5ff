-- For each hour of the day the artist that counted most often in it, of the plays from one time to another.
with heard as (
    select
        local_hour,
        artist_id,
        count(*)::int as counted_plays,
        sum(ms_played) as ms_played
    from marts.fct_plays
    where
        user_id = %(user_id)s
        and played_at >= %(from_at)s
        and played_at < %(to_at)s
        and kind = 'track'
        and is_counted
        and artist_id is not null
    group by local_hour, artist_id
),

best as (
    select distinct on (local_hour)
        local_hour::int as hour,
        artist_id,
        counted_plays,
        sum(counted_plays) over (partition by local_hour)::int as of_plays
    from heard
    order by local_hour, counted_plays desc, ms_played desc, artist_id
)

select best.hour, best.artist_id, artist.name, best.counted_plays, best.of_plays
from best
left join marts.dim_artists as artist on artist.artist_id = best.artist_id
order by best.hour
