select called_at, sum(calls)::int
from ops.quota_calls
where client_id = %(client_id)s and called_at > %(since)s
group by called_at
