update app.onward_plays as entry
set
    state = d.state,
    reason = d.reason,
    not_before = d.not_before,
    decided_at = %(now)s
from jsonb_to_recordset(%(decisions)s) as d (onward_id bigint, state text, reason text, not_before timestamptz)
where entry.onward_id = d.onward_id and entry.state = 'unknown'
