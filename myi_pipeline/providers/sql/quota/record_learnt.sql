update ops.quota_clients
set
    polls_a_day = %(polls_a_day)s,
    learnt_at = %(learnt_at)s
where client_id = %(client_id)s
