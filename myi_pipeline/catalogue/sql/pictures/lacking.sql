-- The first of these entities, in order, for which Spotify has pictures and MYI has none, with the addresses of all
-- their pictures. An entity is skipped if any of its pictures failed for good, is not due yet, or is being fetched.
with wanted as (
    select
        entity_kind,
        entity_id,
        place
    from jsonb_to_recordset(%(wanted)s) as given (entity_kind text, entity_id int, place int)
),

lacking as (
    select *
    from wanted as w
    where
        exists (
            select from raw.pictures as p
            where p.entity_kind = w.entity_kind and p.entity_id = w.entity_id and p.url like 'https://i.scdn.co/image/%%'
        )
        and not exists (
            select from raw.pictures as p
            left join raw.kept_pictures as k on k.url = p.url
            left join ops.picture_fetches as f on f.url = p.url
            where
                p.entity_kind = w.entity_kind and p.entity_id = w.entity_id
                and (k.url is not null or f.state <> 'waiting' or f.due_at > %(now)s or f.leased_until > %(now)s)
        )
    order by w.place
    limit %(most)s
)

select
    l.place,
    p.url,
    p.width,
    p.height
from lacking as l
inner join raw.pictures as p on p.entity_kind = l.entity_kind and p.entity_id = l.entity_id
order by l.place, p.place
