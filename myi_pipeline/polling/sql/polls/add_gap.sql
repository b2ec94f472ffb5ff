insert into raw.poll_gaps (user_id, gap_start, gap_end, reason, noted_at)
select
    %(user_id)s,
    least(greatest(%(start)s::timestamptz, max(span.polled_from)), %(end)s),
    %(end)s,
    %(reason)s,
    %(now)s
from raw.polled_spans as span
where span.user_id = %(user_id)s and span.polled_to is null
