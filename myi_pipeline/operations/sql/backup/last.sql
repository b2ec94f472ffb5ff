select
    (select max(b.finished_at) from ops.backups as b where b.state = 'completed') as last_good,
    (
        select b.error
        from ops.backups as b
        where b.state in ('completed', 'failed')
        order by b.started_at desc, b.backup_id desc
        limit 1
    ) as last_error,
    (
        select b.verify_error
        from ops.backups as b
        where b.verified_at is not null and b.state = 'completed'
        order by b.verified_at desc
        limit 1
    ) as last_verification
