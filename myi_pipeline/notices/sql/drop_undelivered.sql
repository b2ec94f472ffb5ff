-- What was said of this notice before and has not arrived: something newer is to be said. Not what is being sent.
update ops.notice_deliveries
set given_up_at = %(now)s, leased_until = null, error = coalesce(error, 'over before it was sent')
where
    notice_id = %(notice_id)s
    and delivered_at is null
    and given_up_at is null
    and (leased_until is null or leased_until <= %(now)s)
