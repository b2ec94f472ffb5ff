-- A player told the service of the same listening meanwhile: it is there already and is not sent.
update app.onward_plays as told
set state = 'confirmed', decided_at = %(now)s, reason = 'the service knew it already'
where
    told.user_id = %(user_id)s
    and told.service = %(service)s
    and told.account = %(account)s
    and told.state = 'planned'
    and told.attempts = 0
    and exists (
        select from raw.listening_events as event
        inner join raw.contents as content on content.content_id = event.content_id
        where
            event.user_id = told.user_id
            and event.source_id = %(source_id)s
            and event.played_at between
            told.listened_at - (coalesce(told.duration_ms, 600000) + 120000) * interval '1 millisecond'
            and told.listened_at + (coalesce(told.duration_ms, 600000) + 120000) * interval '1 millisecond'
            and lower(content.title) = lower(told.title)
            -- Another play of the same track that was sent is not this one.
            and not exists (
                select from app.onward_plays as other
                where
                    other.user_id = told.user_id
                    and other.service = told.service
                    and other.account = told.account
                    and other.onward_id <> told.onward_id
                    and other.attempts > 0
                    and other.listened_at = event.played_at
            )
    )
