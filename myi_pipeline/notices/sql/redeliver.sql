update ops.notice_deliveries
set
    due_at = %(now)s,
    attempts = 0,
    delivered_at = null,
    given_up_at = null,
    leased_until = null
where
    delivery_id = %(delivery_id)s
    and target_id = %(target_id)s
    and (%(user_id)s::int is null or user_id = %(user_id)s)
    -- Not while it is being sent.
    and (leased_until is null or leased_until < %(now)s)
