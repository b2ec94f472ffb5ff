-- Refreshes that ended lately, for each user, and the operator (NULL), with a webhook that asks for them.
select
    r.run_id,
    r.is_rebuild,
    r.finished_at,
    w.user_id
from ops.mart_runs as r
cross join (
    select distinct user_id from app.notice_targets where 'marts.refreshed' = any(kinds) and stopped_at is null
) as w
where r.status = 'completed' and r.finished_at > %(since)s
