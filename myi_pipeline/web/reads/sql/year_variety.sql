-- How many different songs and artists a year has, and how many of the artists were new. Counts of ranges of indexes.
select
    (
        select count(*)
        from marts.agg_period_recordings_stored
        where user_id = %(user_id)s and period_start = %(year_start)s
    )::int as songs,
    (
        select count(*)
        from marts.agg_period_artists
        where user_id = %(user_id)s and period = 'year' and period_start = %(year_start)s
    )::int as artists,
    (
        select count(*)
        from marts.fct_first_plays
        where
            user_id = %(user_id)s
            and entity_kind = 'artist'
            and first_played_at >= %(from_at)s
            and first_played_at < %(to_at)s
    )::int as new_artists
