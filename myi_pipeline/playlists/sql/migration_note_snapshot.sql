update app.migrations
set
    source_version_no = %(version_no)s,
    source_name = %(source_name)s,
    target_playlist = %(target_playlist)s,
    target_name = %(target_name)s
where migration_id = %(migration_id)s and state = 'ordered'
