select playlist_id, version_no, is_new
from ops.keep_list(
    %(user_id)s::int, %(key)s::text, %(name)s::text, %(description)s::text, %(entries)s::jsonb, %(now)s::timestamptz
)
