-- Plays by span of the artists that led any year: the first three of each, and of those the ones with the greatest share of
-- a year. Counted in the index of an artist's plays alone.
with leader as (
    select best.artist_id, max(best.counted_plays::float8 / greatest(year.counted_plays, 1)) as share
    from (
        select period_start, counted_plays
        from marts.agg_period_user
        where user_id = %(user_id)s and period = 'year'
    ) as year
    cross join lateral (
        select artist_id, counted_plays
        from marts.agg_period_artists_stored
        where user_id = %(user_id)s and period_start = year.period_start
        order by counted_plays desc, ms_played desc, artist_id
        limit 3
    ) as best
    group by best.artist_id
    order by 2 desc, best.artist_id
    limit %(limit)s
)

select
    leader.artist_id,
    artist.name,
    span.place::int as place,
    heard.plays
from leader
cross join unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) with ordinality as span (begins_at, ends_at, place)
cross join lateral (
    select count(*)::int as plays
    from marts.fct_plays
    where
        user_id = %(user_id)s
        and artist_id = leader.artist_id
        and played_at >= span.begins_at
        and played_at < span.ends_at
) as heard
left join marts.dim_artists as artist on artist.artist_id = leader.artist_id
order by leader.artist_id, span.place
