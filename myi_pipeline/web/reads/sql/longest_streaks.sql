-- Of equals the first, as in streak_marks; a user has a few thousand streaks at most.
select streak_start, streak_end, days, plays
from marts.agg_streaks
where user_id = %(user_id)s
order by days desc, streak_start
limit %(limit)s
