select version as number, refreshed_at from marts.user_versions where user_id = %(user_id)s
