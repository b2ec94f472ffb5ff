-- What polls and top lists have reported meanwhile need not be asked for.
delete from ops.catalogue_queue as q
where
    q.state = 'waiting' and q.lease_id is null
    and case q.entity_kind
        when 'track' then exists (
            select from raw.contents as c
            where c.content_id = q.entity_id and c.duration_ms is not null and c.isrc is not null
        )
        else exists (
            select from raw.pictures as i where i.entity_kind = q.entity_kind and i.entity_id = q.entity_id
        )
    end
