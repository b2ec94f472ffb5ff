insert into app.recording_decisions (user_id, decision, content_id, other_id, decided_at)
select %(user_id)s, r.decision, c.content_id, other.content_id, r.decided_at
from told_decisions_recordings as t
cross join lateral jsonb_to_record(t.told) as r (decision text, content uuid, other uuid, decided_at timestamptz)
inner join raw.contents as c on c.content_key = r.content
left join raw.contents as other on other.content_key = r.other
where
    not exists (
        select from app.recording_decisions as known
        where known.user_id = %(user_id)s and known.content_id = c.content_id and known.decided_at = r.decided_at
    )
order by t.row_no;
