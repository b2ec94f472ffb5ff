select
    obstacle,
    nullif(stands_from, '-infinity'),
    stands_until
from ops.service_obstacles
where user_id = %(user_id)s and service = %(service)s
order by rank
