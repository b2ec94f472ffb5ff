-- What the service has shown to our polls at the second at which it was sent is there.
update app.onward_plays as told
set state = 'confirmed', decided_at = %(now)s, reason = null
where
    told.user_id = %(user_id)s
    and told.service = %(service)s
    and told.account = %(account)s
    and told.state in ('sent', 'unknown')
    and exists (
        select from raw.listening_events as event
        inner join raw.contents as content on content.content_id = event.content_id
        where
            event.user_id = told.user_id
            and event.source_id = %(source_id)s
            and event.played_at = told.listened_at
            and (lower(content.title) = lower(told.title) or lower(content.creator) = lower(told.artist))
    )
