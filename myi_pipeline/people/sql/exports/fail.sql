-- Retried automatically, up to three attempts; after that, its owner can request it again.
update app.exports
set
    state = case when %(is_final)s or attempts >= 3 then 'failed' else 'ordered' end,
    finished_at = case when %(is_final)s or attempts >= 3 then %(now)s::timestamptz end,
    error = %(error)s
where export_id = %(export_id)s and attempts = %(attempt)s and state = 'running'
