select d.provider, c.content_key as content, d.kind, d.uri, d.decided_at, d.undone_at
from app.match_decisions as d
inner join raw.contents as c on c.content_id = d.content_id
where d.user_id = %(user_id)s
order by d.decision_id
