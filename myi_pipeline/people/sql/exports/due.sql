-- Exports that were ordered, and running ones that have not reported progress for a while: those were killed, and are
-- made again.
select e.export_id, e.user_id
from app.exports as e
where e.state = 'ordered' or (e.state = 'running' and e.heartbeat_at < %(silent_since)s)
order by e.export_id
limit 100
