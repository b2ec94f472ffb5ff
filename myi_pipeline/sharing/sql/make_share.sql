insert into app.shares (share_id, user_id, kind, title, snapshot, made_at, expires_at, is_indexed)
values (
    %(share_id)s, %(user_id)s, %(kind)s, %(title)s, %(snapshot)s, %(now)s, %(expires_at)s::timestamptz, %(is_indexed)s
)
