select
    run_id,
    host,
    process,
    extract(epoch from now() - seen_at)::float as silent_s,
    given_up_at is not null as is_given_up
from ops.run_heartbeats
where run_id = any(%(run_ids)s)
