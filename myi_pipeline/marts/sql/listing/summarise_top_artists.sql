select
    d.name,
    a.plays::bigint as plays,
    a.counted_plays::bigint as counted_plays,
    a.ms_played::bigint as ms_played
from (
    select
        artist_id,
        plays,
        counted_plays,
        ms_played
    from marts.agg_period_artists
    where user_id = %(user_id)s and period = 'all' and period_start = date '1970-01-01'
    order by counted_plays desc, ms_played desc, artist_id
    limit %(limit)s
) as a
inner join marts.dim_artists as d on d.artist_id = a.artist_id
order by a.counted_plays desc, a.ms_played desc, a.artist_id;
