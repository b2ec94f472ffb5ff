select content_id, kind, uri
from app.match_decisions
where
    user_id = %(user_id)s
    and provider = %(provider)s
    and undone_at is null
    and content_id = any(%(content_ids)s)
order by decision_id
