select
    p.service,
    p.account,
    p.listened_at,
    p.title,
    p.artist,
    p.album,
    p.duration_ms,
    p.recording_uri,
    p.isrc,
    p.is_past,
    p.state,
    p.attempts,
    p.attempted_at,
    p.decided_at,
    p.reason
from app.onward_plays as p
where p.user_id = %(user_id)s
order by p.onward_id
