insert into app.notice_targets (target_id, user_id, channel, name, shown, address, secret, kinds, created_at)
values (
    %(target_id)s, %(user_id)s, %(channel)s, %(name)s, %(shown)s, %(address)s, %(secret)s, %(kinds)s, %(now)s
)
