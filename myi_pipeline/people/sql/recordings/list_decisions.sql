select decision_id, decision, content_id, other_id, decided_at
from app.recording_decisions
where user_id = %(user_id)s
order by decision_id desc
