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
    n.told_stage,
    n.is_gone,
    u.time_zone,
    coalesce(w.muted, '{}') as muted,
    w.quiet_from,
    w.quiet_until
from ops.notices as n
left join app.users as u on u.user_id = n.user_id
left join app.notice_wishes as w on w.user_id = n.user_id
where n.told_stage is distinct from n.stage or (n.ended_at is not null and n.end_told_at is null)
order by n.notice_id
limit %(limit)s
for update of n skip locked
