-- Plays that polls have found at the service, at the time with which they were sent.
update app.onward_plays as entry
set state = 'confirmed', decided_at = %(now)s, reason = null
where
    entry.user_id = %(user_id)s
    and entry.service = %(service)s
    and entry.account = %(account)s
    and entry.state in ('sent', 'unknown')
    and exists (
        select from raw.listening_events as event
        inner join raw.contents as content on content.content_id = event.content_id
        where
            event.user_id = entry.user_id
            and event.source_id = %(source_id)s
            and event.played_at = entry.listened_at
            and (lower(content.title) = lower(entry.title) or lower(content.creator) = lower(entry.artist))
    )
