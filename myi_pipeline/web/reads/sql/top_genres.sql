select
    heard.genre_id,
    genre.name,
    heard.plays,
    heard.counted_plays,
    heard.ms_played,
    (heard.counted_sixths / nullif(heard.known_sixths, 0)::double precision)::double precision as share
from (
    select
        *,
        sum(counted_sixths) over () as known_sixths
    from marts.agg_period_genres
    where user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
) as heard
inner join marts.dim_genres as genre on genre.genre_id = heard.genre_id
where heard.counted_sixths > 0
order by heard.counted_sixths desc, heard.genre_id
limit %(limit)s
