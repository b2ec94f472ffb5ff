-- Without origins and details, which may contain addresses and the names of other people's things.
select a.at, a.event
from app.audit as a
where a.user_id = %(user_id)s
order by a.audit_id
