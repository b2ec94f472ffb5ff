select
    t.target_id,
    t.user_id,
    u.user_key,
    t.channel,
    t.name,
    t.shown,
    t.kinds,
    t.created_at,
    t.former_until,
    t.stopped_at
from app.notice_targets as t
left join app.users as u on u.user_id = t.user_id
where
    (%(user_id)s::int is null or t.user_id = %(user_id)s)
    and (%(channel)s::text is null or t.channel = %(channel)s)
order by t.user_id nulls first, t.created_at, t.target_id
