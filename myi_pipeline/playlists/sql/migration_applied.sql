-- What the target holds of a migration that is done: URIs by position.
select coalesce(jsonb_object_agg(position, uri), '{}')
from app.migration_items
where migration_id = %(migration_id)s and uri is not null and not is_refused
