select
    exists (select from app.imports where user_id <> %(user_id)s and attempt > 0)
    and not exists (
        select
        from app.imports
        where user_id = %(user_id)s and sha256 = %(sha256)s and (confirmation = 'given' or attempt > 0)
    )
