select
    coalesce(sum(calls), 0),
    coalesce(sum(calls) filter (where bucket = 'catalogue'), 0),
    coalesce(sum(calls) filter (where bucket = 'now_playing'), 0),
    min(called_at),
    min(called_at) filter (where bucket = 'catalogue'),
    min(called_at) filter (where bucket = 'now_playing')
from ops.quota_calls
where client_id = %(client_id)s and called_at > %(since)s and called_at <= %(now)s and bucket <> 'tokens'
