-- Spans in which plays may have been missed, noted lately: one line a user and day.
select
    user_id,
    (noted_at at time zone 'UTC')::date as noted_on,
    count(*) as gaps,
    (array_agg(reason order by noted_at))[1] as reason,
    min(noted_at) as noted_at
from raw.poll_gaps
where noted_at > %(since)s and reason in ('window_overflow', 'outage', 'refused_items', 'late_plays')
group by user_id, (noted_at at time zone 'UTC')::date
