-- Takes the next plays, marking them as `unknown` before anything is sent: whatever happens next, they are looked for
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

update app.onward_plays as entry
set state = 'unknown', attempts = entry.attempts + 1, attempted_at = %(now)s, reason = null, not_before = null
from next
where entry.onward_id = next.onward_id
returning
    entry.onward_id, entry.listened_at, entry.title, entry.artist, entry.album, entry.duration_ms, entry.recording_uri, entry.isrc,
    entry.is_past, entry.attempts
