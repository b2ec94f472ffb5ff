-- The times bound the search to one or two partitions. A digest stands for the content: its number may not be known yet.
select e.played_at, c.content_key::text as content_key
from raw.listening_events as e
left join raw.contents as c on c.content_id = e.content_id
where
    e.user_id = %(user_id)s
    and e.source_id = 3
    and e.played_at between %(oldest)s and %(newest)s
