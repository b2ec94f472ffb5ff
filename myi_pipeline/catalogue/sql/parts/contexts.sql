select x.context_key as context, x.platform, x.conn_country as country, x.reason_start, x.reason_end
from wanted_contexts as w
inner join raw.contexts as x on x.context_id = w.context_id
order by x.context_id
