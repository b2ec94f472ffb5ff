-- The artists of a year that were new in it, most heard first: down the year's list until enough are found, which are
-- among its first few hundred or too rarely played to matter.
select
    heard.artist_id,
    artist.name,
    artist.picture_sha256 as picture,
    heard.plays,
    heard.counted_plays,
    heard.ms_played,
    heard.first_local_date
from (
    select listed.*, first.first_local_date
    from (
        select artist_id, plays, counted_plays, ms_played
        from marts.agg_period_artists
        where user_id = %(user_id)s and period = 'year' and period_start = %(year_start)s
        order by counted_plays desc, ms_played desc, artist_id
        limit 500
    ) as listed
    cross join lateral (
        select first_local_date
        from marts.fct_first_plays
        where user_id = %(user_id)s and entity_kind = 'artist' and entity_id = listed.artist_id
        offset 0
    ) as first
    where first.first_local_date >= %(year_start)s
    order by listed.counted_plays desc, listed.ms_played desc, listed.artist_id
    limit %(limit)s
) as heard
left join marts.dim_artists as artist on artist.artist_id = heard.artist_id
order by heard.counted_plays desc, heard.ms_played desc, heard.artist_id
