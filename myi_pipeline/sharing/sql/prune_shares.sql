with emptied as (
    update app.shares
    set
        revoked_at = expires_at,
        snapshot = null
    where revoked_at is null and expires_at < %(expired_before)s
),

deleted as (
    delete from app.shares
    where revoked_at < %(ended_before)s
    returning 1
)

select count(*) from deleted
