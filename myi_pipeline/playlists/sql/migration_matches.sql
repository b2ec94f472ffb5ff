select
    position,
    title,
    artists,
    content_id,
    added_at,
    outcome,
    uri,
    score,
    margin,
    kinship,
    reason,
    is_decided,
    is_refused,
    case when %(with_candidates)s then candidates else '[]' end as candidates
from app.migration_items
where
    migration_id = %(migration_id)s
    and position > %(after)s
    and (not %(in_doubt)s or (outcome <> 'matched' and not is_decided) or is_refused)
order by position
limit %(limit)s
