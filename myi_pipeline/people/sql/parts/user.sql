select u.user_key, u.display_name, u.time_zone, u.time_zone_chosen_at, u.created_at
from app.users as u
where u.user_id = %(user_id)s
