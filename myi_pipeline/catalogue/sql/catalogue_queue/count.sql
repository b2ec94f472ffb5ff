select
    entity_kind,
    count(*) filter (where state = 'waiting') as waiting,
    count(*) filter (where state = 'waiting' and failures > 0) as failing,
    count(*) filter (where state = 'answered') as answered,
    count(*) filter (where state = 'relinked') as relinked,
    count(*) filter (where state = 'gone') as gone,
    min(greatest(due_at, leased_until)) filter (where state = 'waiting') as next_at
from ops.catalogue_queue
group by place, entity_kind
order by place
