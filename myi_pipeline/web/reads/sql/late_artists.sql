-- The artists of a year with the greatest share of counted plays that ended between midnight and five. The nights alone are
-- read from plays, one after the other; how much of an artist there was in all stands in the year's list.
select
    heard.artist_id,
    artist.name,
    artist.picture_sha256 as picture,
    heard.late_plays,
    heard.counted_plays
from (
    select late.artist_id, late.late_plays, of_year.counted_plays
    from (
        select play.artist_id, count(*)::int as late_plays
        from unnest(%(midnights)s::timestamptz[]) as night (midnight)
        cross join lateral (
            select artist_id
            from marts.fct_plays
            where
                user_id = %(user_id)s
                and played_at >= night.midnight
                -- Clocks that go back make the five hours six.
                and played_at < night.midnight + interval '6 hours'
                and local_hour < 5
                and kind = 'track'
                and is_counted
                and artist_id is not null
            offset 0
        ) as play
        group by play.artist_id
    ) as late
    cross join lateral (
        select counted_plays
        from marts.agg_period_artists_stored
        where user_id = %(user_id)s and artist_id = late.artist_id and period_start = %(year_start)s
        offset 0
    ) as of_year
    where of_year.counted_plays >= %(at_least)s
    order by late.late_plays::float8 / of_year.counted_plays desc, of_year.counted_plays desc, late.artist_id
    limit %(limit)s
) as heard
left join marts.dim_artists as artist on artist.artist_id = heard.artist_id
order by heard.late_plays::float8 / heard.counted_plays desc, heard.counted_plays desc, heard.artist_id
