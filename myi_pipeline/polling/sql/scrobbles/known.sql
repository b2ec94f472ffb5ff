-- The times bound the search to few partitions. Digests represent contents, whose ids may not be known yet.
select
    event.played_at,
    content.content_key::text,
    case when content.match_title <> '' then content.match_key::text end
from raw.listening_events as event
left join raw.contents as content on content.content_id = event.content_id
where
    event.user_id = %(user_id)s
    and event.source_id = %(source_id)s
    and event.played_at between %(oldest)s and %(newest)s
