select
    count(*) as staged,
    count(case when is_unknown then 1 end) as unknown,
    min(played_at) as first_played_at,
    max(played_at) as last_played_at
from told_event
