select
    i.migration_id as move,
    i.position,
    i.title,
    i.artists,
    c.content_key as content,
    i.added_at,
    i.outcome,
    i.uri,
    i.score,
    i.reason,
    i.is_decided,
    i.is_refused
from app.migrations as m
inner join app.migration_items as i on i.migration_id = m.migration_id
left join raw.contents as c on c.content_id = i.content_id
where m.user_id = %(user_id)s
order by i.migration_id, i.position
