update app.notice_targets
set
    address = %(address)s,
    secret = %(secret)s,
    former_secret = %(former_secret)s
where target_id = %(target_id)s
