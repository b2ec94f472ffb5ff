-- Deletes finished runs except the latest ones and the last that wrote, whose matches the next run uses.
delete from app.migrations as m
where
    m.saved_id = %(saved_id)s
    and m.ordered is null
    and m.state <> 'applying'
    and m.migration_id < (
        select min(kept.migration_id)
        from (
            select r.migration_id
            from app.migrations as r
            where r.saved_id = %(saved_id)s
            order by r.migration_id desc
            limit %(kept)s
        ) as kept
    )
    and m.migration_id <> coalesce(
        (
            select max(r.migration_id)
            from app.migrations as r
            where
                r.saved_id = %(saved_id)s
                and (
                    r.state in ('done', 'incomplete', 'applying')
                    or exists (select from app.migration_writes as w where w.migration_id = r.migration_id)
                )
        ),
        0
    )
