-- The streak that still goes on (today is not over: yesterday will do) and the longest; a user has a few thousand at most.
(
    select 'current' as mark, streak_start, streak_end, days, plays
    from marts.agg_streaks
    where user_id = %(user_id)s and streak_end >= %(yesterday)s
    order by streak_start desc
    limit 1
)
union all
(
    select 'longest' as mark, streak_start, streak_end, days, plays
    from marts.agg_streaks
    where user_id = %(user_id)s
    order by days desc, streak_start
    limit 1
)
