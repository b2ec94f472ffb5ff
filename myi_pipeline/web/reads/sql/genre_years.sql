with years as (
    select
        extract(year from period_start)::int as year,
        genre_id,
        counted_plays,
        counted_sixths,
        sum(counted_sixths) over (partition by period_start) as known_sixths
    from marts.agg_period_genres_stored
    where user_id = %(user_id)s and period_start <> date '1970-01-01'
),

top as (
    select genre_id
    from marts.agg_period_genres_stored
    where user_id = %(user_id)s and period_start = date '1970-01-01' and counted_sixths > 0
    order by counted_sixths desc, genre_id
    limit %(limit)s
)

select
    years.year,
    years.genre_id,
    genre.name,
    years.counted_plays,
    (years.counted_sixths / years.known_sixths::double precision)::double precision as share
from years
inner join top on top.genre_id = years.genre_id
inner join marts.dim_genres as genre on genre.genre_id = years.genre_id
where years.counted_sixths > 0
order by years.year, years.counted_sixths desc, years.genre_id
