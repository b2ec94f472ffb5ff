select
    e.played_at,
    s.source,
    c.content_key as content,
    e.ms_played,
    e.occurrence,
    x.context_key as context,
    e.offline_timestamp as offline_at,
    e.shuffle,
    e.skipped,
    e.offline,
    e.incognito,
    e.batch_id as batch
from raw.listening_events as e
inner join raw.sources as s on s.source_id = e.source_id
left join raw.contents as c on c.content_id = e.content_id
left join raw.contexts as x on x.context_id = e.context_id
where e.user_id = %(user_id)s and e.played_at >= %(begins_at)s and e.played_at < %(ends_at)s
order by e.played_at, e.source_id, e.content_id, e.ms_played, e.occurrence
