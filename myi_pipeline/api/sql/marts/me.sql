select user_id, user_key, display_name, time_zone, created_at from marts.dim_users where user_id = %(user_id)s
