select r.listen_digest as digest, r.client, r.reason, r.detail, r.listen, r.times, r.refused_at
from ops.refused_listens as r
where r.user_id = %(user_id)s
order by r.refused_id
