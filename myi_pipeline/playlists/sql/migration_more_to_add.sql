update app.migrations
set
    state = 'incomplete',
    is_equal = false,
    target_before = case when is_equal then '[]' else target_before end,
    applied = case
        when state = 'done'
            then jsonb_build_object(
                'entries', %(applied)s::jsonb, 'is_equal', is_equal, 'target_before', target_before
            )
        else applied
    end
where migration_id = %(migration_id)s
