insert into app.migrations (
    user_id, source_playlist_id, source_version_no, source_name, target_account_id, target_playlist, target_name,
    is_equal, state, target_before, were_there, capabilities, note, created_at, planned_at
)
values (
    %(user_id)s, %(playlist_id)s, %(version_no)s, %(source_name)s, %(account_id)s, %(target_playlist)s,
    %(target_name)s, %(is_equal)s, 'planned', %(target_before)s, %(were_there)s, %(capabilities)s, %(note)s, %(now)s,
    %(now)s
)
returning migration_id
