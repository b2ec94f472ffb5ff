update ops.run_heartbeats set given_up_at = now()
where
    run_id = any(%(run_ids)s)
    and given_up_at is null
    and doubted_at > seen_at
    and doubted_at <= now() - %(doubted)s::interval
