update app.shares
set
    title = %(title)s,
    expires_at = %(expires_at)s::timestamptz,
    is_indexed = %(is_indexed)s
where share_id = %(share_id)s and revoked_at is null
