select
    case when content_id is not null then 'track' else 'artist' end as entity_kind,
    count(*) filter (where state = 'waiting') as waiting,
    count(*) filter (where state = 'waiting' and failures > 0) as failing,
    count(*) filter (where state = 'found') as found,
    count(*) filter (where state = 'not_found') as not_found,
    min(greatest(due_at, leased_until)) filter (where state = 'waiting') as next_at
from ops.musicbrainz_queue
group by 1
order by 1 desc
