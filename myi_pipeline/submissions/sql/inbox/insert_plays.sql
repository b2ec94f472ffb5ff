insert into raw.listening_events (
    user_id, source_id, batch_id, played_at, content_id, context_id, ms_played, occurrence
)
select %(user_id)s, %(source)s, %(submission_id)s, play.played_at, play.content_id, context.context_id, play.ms_played, 0
from unnest(%(played_at)s::timestamptz[], %(content_id)s::int[], %(context_key)s::uuid[], %(ms_played)s::int[])
    as play (played_at, content_id, context_key, ms_played)
left join raw.contexts as context on context.context_key = play.context_key
order by play.played_at, play.content_id
on conflict do nothing
