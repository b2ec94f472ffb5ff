update app.saved_migrations
set paused_at = coalesce(paused_at, %(now)s), pause_reason = %(reason)s
where saved_id = %(saved_id)s
