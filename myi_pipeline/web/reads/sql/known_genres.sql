select
    coalesce((
        select music_counted_plays
        from marts.agg_period_user
        where user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
    ), 0)::int as counted_plays,
    (coalesce((
        select sum(counted_sixths)
        from marts.agg_period_genres
        where user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
    ), 0) / 6)::int as known_plays
