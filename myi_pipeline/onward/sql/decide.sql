update app.onward_plays as told
set
    state = d.state,
    reason = d.reason,
    not_before = d.not_before,
    decided_at = %(now)s
from jsonb_to_recordset(%(decisions)s) as d (onward_id bigint, state text, reason text, not_before timestamptz)
where told.onward_id = d.onward_id and told.state = 'unknown'
