-- The oldest file that is due.
select file_id, user_id, file_name, content
from ops.playlist_file_inbox
where next_try_at <= now() and file_id > %(after_id)s
order by file_id
limit 1
