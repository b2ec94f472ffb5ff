insert into app.migration_items (
    migration_id, position, title, artists, content_id, added_at,
    outcome, uri, sent_uri, score, margin, kinship, reason, is_decided, candidates
)
select
    %(migration_id)s, position, title, artists, content_id, added_at,
    outcome, uri, sent_uri, score, margin, kinship, reason, is_decided, candidates
from pg_temp.found_items
