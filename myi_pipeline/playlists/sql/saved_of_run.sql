-- The saved migration that this is a run of, and the last run before it that wrote, or had nothing to write.
select
    s.saved_id,
    s.is_equal,
    s.target_before,
    earlier.migration_id as earlier_id
from app.migrations as m
inner join app.saved_migrations as s on s.saved_id = m.saved_id
left join lateral (
    select r.migration_id
    from app.migrations as r
    where
        (r.saved_id = s.saved_id or r.migration_id = s.origin_id)
        and r.migration_id < m.migration_id
        and (
            r.state in ('done', 'incomplete', 'applying')
            or exists (select from app.migration_writes as w where w.migration_id = r.migration_id)
        )
    order by r.migration_id desc
    limit 1
) as earlier on true
where m.migration_id = %(migration_id)s
