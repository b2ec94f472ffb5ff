insert into ops.service_polls (
    poll_id, user_id, service, account, polled_at, items, new_plays, known_plays, late_plays, refused_items,
    oldest_played_at, newest_played_at, refused, correlation_id
)
values (
    %(poll_id)s, %(user_id)s, %(service)s, %(account)s, %(polled_at)s, %(items)s, %(new_plays)s, %(known_plays)s,
    %(late_plays)s, %(refused_items)s, %(oldest_played_at)s, %(newest_played_at)s, %(refused)s, %(correlation_id)s
)
