insert into ops.refused_listens (
    user_id, listen_digest, submission_id, client, reason, detail, listen, times, refused_at
)
select %(user_id)s, r.digest, %(import_id)s, r.client, r.reason, r.detail, r.listen, r.times, r.refused_at
from told_submissions_refused as t
cross join lateral jsonb_to_record(t.told) as r (
    digest uuid, client text, reason text, detail text, listen jsonb, times int, refused_at timestamptz
)
order by t.row_no
on conflict do nothing;
