-- The periods in which anybody heard a track that comes into a recording or leaves it. With a user: of that user alone.
insert into ops.touched_recordings (user_id, recording_id, period_start)
select distinct heard.user_id, moved.recording_id, heard.period_start
from unnest(%(users)s::int[], %(contents)s::int[], %(recordings)s::int[]) as moved (user_id, content_id, recording_id)
inner join app.users as users on moved.user_id is null or users.user_id = moved.user_id
cross join lateral (
    select stored.user_id, stored.period_start
    from marts.agg_period_tracks_stored as stored
    where stored.user_id = users.user_id and stored.track_id = moved.content_id
    offset 0
) as heard
order by 1, 2, 3
on conflict do nothing
