update ops.notice_deliveries
set
    leased_until = null,
    status = %(status)s,
    error = %(error)s,
    delivered_at = case when %(is_taken)s then %(now)s::timestamptz end,
    given_up_at = case when %(is_given_up)s then %(now)s::timestamptz end,
    due_at = coalesce(%(due_at)s, due_at)
where delivery_id = %(delivery_id)s
