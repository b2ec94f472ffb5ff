insert into raw.listening_events (user_id, source_id, batch_id, played_at, content_id, ms_played, occurrence)
select %(user_id)s, %(source)s, %(poll_id)s, play.played_at, play.content_id, null, 0
from unnest(%(played_at)s::timestamptz[], %(content_id)s::int[]) as play (played_at, content_id)
order by play.played_at, play.content_id
on conflict do nothing
returning played_at
