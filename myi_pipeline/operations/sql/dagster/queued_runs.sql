-- Runs that wait for a place: how many, and how long the oldest has waited, in seconds.
select
    count(*) as runs,
    coalesce(extract(epoch from now() - min(update_timestamp) at time zone 'UTC'), 0)::float as oldest_s
from runs
where status = 'QUEUED'
