select d.decision, c.content_key as content, other.content_key as other, d.decided_at
from app.recording_decisions as d
inner join raw.contents as c on c.content_id = d.content_id
left join raw.contents as other on other.content_id = d.other_id
where d.user_id = %(user_id)s
order by d.decision_id
