-- How many artists counted in each month of the plays from one time to another.
select starts_on, count(*)::int as artists
from (
    select distinct
        local_date - (extract(day from local_date)::int - 1) as starts_on,
        artist_id
    from marts.fct_plays
    where
        user_id = %(user_id)s
        and played_at >= %(from_at)s
        and played_at < %(to_at)s
        and kind = 'track'
        and is_counted
        and artist_id is not null
) as heard
group by starts_on
order by starts_on
