-- What waits for a receiver that is gone. Not what is being sent.
update ops.notice_deliveries
set given_up_at = %(now)s, leased_until = null, error = coalesce(error, 'the receiver is gone')
where
    target_id = %(target_id)s
    and delivered_at is null
    and given_up_at is null
    and (leased_until is null or leased_until <= %(now)s)
