select service, is_new
from ops.remove_list(%(user_id)s::int, %(playlist_id)s::int, %(now)s::timestamptz)
