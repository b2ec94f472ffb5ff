update app.migration_items as i
set is_refused = true
from (
    select position, row_number() over (order by position) - 1 as place
    from app.migration_items
    where migration_id = %(migration_id)s and uri is not null
) as numbered
where
    i.migration_id = %(migration_id)s
    and i.position = numbered.position
    and numbered.place = any(%(places)s::int[])
