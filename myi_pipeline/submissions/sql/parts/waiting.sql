-- Accepted but not yet in raw; there are rarely any.
select i.client, i.listen_type, i.listens, i.received_at
from ops.listen_inbox as i
where i.user_id = %(user_id)s
order by i.submission_id
