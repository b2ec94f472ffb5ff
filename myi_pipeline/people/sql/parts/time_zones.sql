select z.valid_from, z.time_zone
from app.user_time_zones as z
where z.user_id = %(user_id)s
order by z.valid_from
