-- Found by looking, as in count_chunk_present.
select count(*)
from (
    select source_id, played_at, content_id, ms_played, occurrence from told_event
    intersect
    select l.source_id, l.played_at, l.content_id, l.ms_played, l.occurrence
    from raw.listening_events as l
    where l.user_id = %(user_id)s and l.played_at between %(first_played_at)s and %(last_played_at)s
) as both_sides
