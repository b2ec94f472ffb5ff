select
    client_id,
    bucket,
    coalesce(sum(calls) filter (where called_at > %(minute)s), 0),
    sum(calls)
from ops.quota_calls
where called_at > %(day)s and called_at <= %(now)s
group by client_id, bucket
