-- As the role that serves people may see it.
select polled_at, due_at, failures, last_error from ops.polling_of(%(user_id)s)
