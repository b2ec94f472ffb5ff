-- The periods in which anybody heard a track that joins or leaves a recording; with a user, only that user's.
-- Listeners are taken from the mart itself: users who were removed still have rows there until this run deletes them.
insert into ops.touched_recordings (user_id, recording_id, period_start)
select distinct heard.user_id, moved.recording_id, heard.period_start
from unnest(%(users)s::int[], %(contents)s::int[], %(recordings)s::int[]) as moved (user_id, content_id, recording_id)
cross join lateral (
    select stored.user_id, stored.period_start
    from marts.agg_period_tracks_stored as stored
    where stored.track_id = moved.content_id
    offset 0
) as heard
where moved.user_id is null or heard.user_id = moved.user_id
order by 1, 2, 3
on conflict do nothing
