update app.shares
set
    revoked_at = %(now)s,
    snapshot = null
where
    (%(user_id)s::int is null or user_id = %(user_id)s)
    and share_id = %(share_id)s
    and revoked_at is null
returning title, user_id
