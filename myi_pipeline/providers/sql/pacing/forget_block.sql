-- Not for an answer that was already under way when another process was asked to wait.
update ops.service_paces
set blocked_until = null, blocks_in_a_row = 0
where service = %(service)s and blocked_until <= %(now)s
