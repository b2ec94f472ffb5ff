insert into raw.listening_events (
    user_id, source_id, batch_id, played_at, content_id, ms_played, occurrence, context_id, offline_timestamp, shuffle,
    skipped, offline, incognito
)
select
    %(user_id)s,
    source_id,
    batch_id,
    played_at,
    content_id,
    ms_played,
    occurrence,
    context_id,
    offline_at,
    shuffle,
    skipped,
    offline,
    incognito
from told_event
order by played_at, source_id, content_id, ms_played, occurrence
on conflict do nothing
