-- Once: an open one of the same subject stays, and so does an event that was kept before.
insert into ops.notices (user_id, kind, subject, stage, detail, is_event, began_at, ended_at)
values (
    %(user_id)s,
    %(kind)s,
    %(subject)s,
    %(stage)s,
    %(detail)s,
    %(is_event)s,
    %(began_at)s,
    case when %(is_event)s then %(began_at)s::timestamptz end
)
on conflict do nothing
