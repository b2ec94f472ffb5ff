update ops.playlist_gatherings
set
    outcome = %(outcome)s,
    finished_at = %(now)s,
    lists_seen = %(lists_seen)s,
    lists_read = %(lists_read)s,
    unchanged = %(unchanged)s,
    unreadable = %(unreadable)s,
    failed = %(failed)s,
    gone = %(gone)s,
    new_versions = %(new_versions)s,
    items_read = %(items_read)s,
    error = %(error)s
where gathering_id = %(gathering_id)s
