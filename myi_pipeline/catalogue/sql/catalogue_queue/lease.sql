update ops.catalogue_queue as q
set lease_id = gen_random_uuid(), leased_until = %(until)s
from (
    select
        n.entity_kind,
        n.entity_id
    from ops.catalogue_queue as n
    where
        n.state = 'waiting' and n.due_at <= %(now)s
        and (n.leased_until is null or n.leased_until <= %(now)s)
    -- An artist has the plays of all its tracks, so it comes right after the first track that revealed it.
    order by n.plays desc, n.place, n.entity_id
    limit 1
    for update skip locked
) as free
where q.entity_kind = free.entity_kind and q.entity_id = free.entity_id
returning q.entity_kind, q.entity_id, q.uri, q.failures, q.lease_id
