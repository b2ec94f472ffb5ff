select
    g.gap_start,
    coalesce(g.gap_end, greatest(g.gap_start, p.polled_at)) as gap_end,
    g.reason,
    g.noted_at,
    g.gap_end is null as is_open
from raw.poll_gaps as g
left join ops.poll_states as p on p.user_id = g.user_id
where g.user_id = %(user_id)s
order by g.gap_start, g.gap_id
