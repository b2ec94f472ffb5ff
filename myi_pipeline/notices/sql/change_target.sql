update app.notice_targets
set
    name = %(name)s,
    kinds = %(kinds)s,
    stopped_at = case when %(is_on)s then null else stopped_at end
where target_id = %(target_id)s and user_id is not distinct from %(user_id)s
