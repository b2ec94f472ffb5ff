insert into ops.notice_deliveries (
    delivery_id, user_id, target_id, settings_key, notice_id, moment, kind, payload, created_at, due_at
)
values (
    %(delivery_id)s,
    %(user_id)s,
    %(target_id)s,
    %(settings_key)s,
    %(notice_id)s,
    %(moment)s,
    %(kind)s,
    %(payload)s,
    %(now)s,
    %(due_at)s
)
on conflict do nothing
