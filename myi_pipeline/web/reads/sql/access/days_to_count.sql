select ops.days_to_count(%(user_id)s, %(at_most)s)
