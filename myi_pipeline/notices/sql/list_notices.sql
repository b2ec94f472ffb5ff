select
    n.notice_id,
    n.user_id,
    u.user_key,
    n.kind,
    n.subject,
    n.stage,
    n.detail,
    n.is_event,
    n.began_at,
    n.ended_at,
    n.told_stage
from ops.notices as n
left join app.users as u on u.user_id = n.user_id
where
    (
        %(user_id)s::int is null
        or n.user_id = %(user_id)s
        or (%(with_installation)s and n.user_id is null)
    )
    and (%(with_past)s or n.ended_at is null)
    -- What only programs ask for would fill the list.
    and n.kind <> 'marts.refreshed'
order by (n.ended_at is null) desc, coalesce(n.ended_at, n.began_at) desc, n.notice_id desc
limit %(limit)s
