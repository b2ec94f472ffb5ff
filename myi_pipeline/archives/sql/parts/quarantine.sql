select
    q.import_id as batch,
    q.file_no,
    q.file_name,
    q.row_index,
    q.reason,
    q.detail,
    q.row_content,
    q.due_at,
    q.whole_row,
    q.created_at
from ops.quarantine as q
where q.user_id = %(user_id)s
order by q.quarantine_id
