update app.migrations as m
set
    state = 'done',
    is_equal = (m.applied -> 'is_equal')::boolean,
    target_before = m.applied -> 'target_before',
    applied = null
where
    m.migration_id = %(migration_id)s
    and m.state = 'incomplete'
    and m.ordered is null
    and m.applied is not null
    and not exists (
        select from app.migration_items as i
        left join jsonb_each_text(m.applied -> 'entries') as was on was.key::int = i.position and was.value = i.uri
        where i.migration_id = m.migration_id and i.uri is not null and not i.is_refused and was.key is null
    )
