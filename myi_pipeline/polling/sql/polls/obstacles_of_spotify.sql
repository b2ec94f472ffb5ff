select
    obstacle,
    nullif(stands_from, '-infinity'),
    stands_until
from ops.poll_obstacles
where user_id = %(user_id)s
order by rank
