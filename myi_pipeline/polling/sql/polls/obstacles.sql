-- As visible to the role that serves people.
select polled_at, due_at, failures, last_error from ops.polling_of(%(user_id)s)
