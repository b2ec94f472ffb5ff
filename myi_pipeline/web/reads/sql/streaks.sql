select streak_start, streak_end, days, plays
from marts.agg_streaks
where
    user_id = %(user_id)s
    and streak_end >= %(first_day)s
    and streak_start <= %(last_day)s
    and streak_start < %(after_streak_start)s
order by streak_start desc
limit %(limit)s
