select p.due_at, p.uri, p.poll_id as batch, p.item
from ops.postponed_plays as p
where p.user_id = %(user_id)s
order by p.due_at, p.uri
