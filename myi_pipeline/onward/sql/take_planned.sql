-- The next plays, journalled as being sent before anything is sent: whatever happens from here on, they are looked for
-- before they are sent again.
with next as (
    select onward_id
    from app.onward_plays
    where
        user_id = %(user_id)s
        and service = %(service)s
        and account = %(account)s
        and state = 'planned'
        and (not_before is null or not_before <= %(now)s)
    order by listened_at, onward_id
    limit %(limit)s
    for update
)

update app.onward_plays as told
set state = 'unknown', attempts = told.attempts + 1, attempted_at = %(now)s, reason = null, not_before = null
from next
where told.onward_id = next.onward_id
returning
    told.onward_id, told.listened_at, told.title, told.artist, told.album, told.duration_ms, told.recording_uri, told.isrc,
    told.is_past, told.attempts
