select status, paused_at is not null as is_paused, authorised_at, refreshed_at
from app.credentials
where user_id = %(user_id)s and is_main
