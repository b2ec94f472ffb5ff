select called_at, sum(calls)::int
from ops.quota_calls
-- The token endpoint is not part of the Web API, whose window this is.
where client_id = %(client_id)s and called_at > %(since)s and bucket <> 'tokens'
group by called_at
