insert into app.migrations (
    user_id, source_playlist_id, source_version_no, source_name, target_account_id, target_playlist, target_name,
    is_equal, state, created_at, ordered, ordered_at, saved_id
)
values (
    %(user_id)s, %(playlist_id)s, %(version_no)s, %(source_name)s, %(account_id)s, %(into)s, %(name)s,
    %(is_equal)s, 'ordered', %(now)s, 'plan', %(now)s, %(saved_id)s
)
returning migration_id
