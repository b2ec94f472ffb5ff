update ops.run_heartbeats set doubted_at = now()
where
    run_id = any(%(run_ids)s)
    and given_up_at is null
    and seen_at < now() - %(silent)s::interval
    and (doubted_at is null or doubted_at < seen_at)
