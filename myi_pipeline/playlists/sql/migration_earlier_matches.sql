-- The matches of these tracks in one run, each track once.
select distinct on (content_id, title, artists)
    position,
    title,
    artists,
    content_id,
    added_at,
    outcome,
    uri,
    sent_uri,
    score,
    margin,
    kinship,
    reason,
    is_decided,
    is_refused,
    candidates
from app.migration_items
where
    migration_id = %(migration_id)s
    and outcome = 'matched'
    and (content_id = any(%(content_ids)s) or (content_id is null and title = any(%(titles)s)))
order by content_id, title, artists, position
