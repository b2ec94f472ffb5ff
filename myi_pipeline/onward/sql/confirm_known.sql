-- In the meantime, a player has reported the same play to the service, so it is not sent.
update app.onward_plays as entry
set state = 'confirmed', decided_at = %(now)s, reason = 'the service knew it already'
where
    entry.user_id = %(user_id)s
    and entry.service = %(service)s
    and entry.account = %(account)s
    and entry.state = 'planned'
    and entry.attempts = 0
    and exists (
        select from raw.listening_events as event
        inner join raw.contents as content on content.content_id = event.content_id
        where
            event.user_id = entry.user_id
            and event.source_id = %(source_id)s
            and event.played_at between
            entry.listened_at - (coalesce(entry.duration_ms, 600000) + 120000) * interval '1 millisecond'
            and entry.listened_at + (coalesce(entry.duration_ms, 600000) + 120000) * interval '1 millisecond'
            and lower(content.title) = lower(entry.title)
            -- Unless it is another play of the same track, which was sent.
            and not exists (
                select from app.onward_plays as other
                where
                    other.user_id = entry.user_id
                    and other.service = entry.service
                    and other.account = entry.account
                    and other.onward_id <> entry.onward_id
                    and other.attempts > 0
                    and other.listened_at = event.played_at
            )
    )
