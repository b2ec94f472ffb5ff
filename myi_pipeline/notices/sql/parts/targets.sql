-- By what the pages show: a service or a scheme, and a host.
select t.channel, t.name, t.shown, t.kinds, t.created_at, t.stopped_at
from app.notice_targets as t
where t.user_id = %(user_id)s
order by t.created_at, t.target_id
