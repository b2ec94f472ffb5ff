-- Plays that may or may not have arrived, once the service has had time to list them.
select
    onward_id, listened_at, title, artist, album, duration_ms, recording_uri, isrc, is_past, attempts
from app.onward_plays
where
    user_id = %(user_id)s
    and service = %(service)s
    and account = %(account)s
    and state = 'unknown'
    and attempted_at <= %(tried_before)s
order by listened_at desc, onward_id desc
limit 1000
