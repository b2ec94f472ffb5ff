select
    q.quarantine_id,
    u.user_key,
    q.import_id,
    i.archive_name,
    q.file_name,
    q.row_index,
    q.reason,
    q.detail,
    q.row_content,
    q.created_at
from ops.quarantine as q
inner join app.users as u on u.user_id = q.user_id
inner join app.imports as i on i.import_id = q.import_id
where
    (%(user_key)s::text is null or u.user_key = %(user_key)s)
    and (%(import_id)s::int is null or q.import_id = %(import_id)s)
    and (%(reason)s::text is null or q.reason = %(reason)s)
order by q.import_id desc, q.file_no, q.row_index
limit %(limit)s;
