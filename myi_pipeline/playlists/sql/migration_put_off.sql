-- An order without a reason has been started, and due_at is when it is resumed if that attempt dies.
update app.migrations
set attempts = %(attempts)s, due_at = %(due_at)s, last_error = %(reason)s
where migration_id = %(migration_id)s and ordered is not null
