insert into ops.polls (
    poll_id, user_id, polled_at, outcome, items, new_plays, known_plays, late_plays, refused_items,
    oldest_played_at, newest_played_at, newest_known_before, refused, unread_fields, account_key, correlation_id
)
values (
    %(poll_id)s, %(user_id)s, %(polled_at)s, %(outcome)s, %(items)s, %(new_plays)s, %(known_plays)s, %(late_plays)s,
    %(refused_items)s, %(oldest_played_at)s, %(newest_played_at)s, %(newest_known_before)s, %(refused)s,
    %(unread_fields)s, %(account_key)s, %(correlation_id)s
)
