-- Equal refused listens are stored once, however often a client sends them.
insert into ops.refused_listens as known (user_id, listen_digest, submission_id, client, reason, detail, listen, times)
select
    i.user_id,
    r.digest,
    i.submission_id,
    i.client,
    min(r.reason),
    min(r.detail),
    (array_agg(r.listen))[1],
    count(*)
from ops.listen_inbox as i
cross join lateral jsonb_to_recordset(i.refused) as r (digest uuid, reason text, detail text, listen jsonb)
where i.submission_id = %(submission_id)s
group by i.user_id, r.digest, i.submission_id, i.client
order by r.digest
on conflict (user_id, listen_digest) do update
    set
        submission_id = excluded.submission_id,
        client = excluded.client,
        times = known.times + excluded.times,
        refused_at = now()
