-- All decisions in the order in which they were made, with aliases replaced by the tracks that marts know.
select
    d.user_id,
    d.decision_id,
    d.decision,
    coalesce(a.canonical_id, d.content_id) as content_id,
    coalesce(b.canonical_id, d.other_id) as other_id
from app.recording_decisions as d
left join raw.content_aliases as a on a.content_id = d.content_id
left join raw.content_aliases as b on b.content_id = d.other_id
order by d.user_id, d.decision_id
