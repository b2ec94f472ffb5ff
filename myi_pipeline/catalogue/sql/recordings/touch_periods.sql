-- The periods in which anybody heard a track that joins or leaves a recording; with a user, only that user's.
-- Listeners are taken from the mart itself, one step in the index each: users who were removed still have rows there
-- until this run deletes them.
with recursive listeners as (
    select min(user_id) as user_id from marts.agg_period_tracks_stored
    union all
    select (
        select min(next.user_id)
        from marts.agg_period_tracks_stored as next
        where next.user_id > listeners.user_id
    )
    from listeners
    where listeners.user_id is not null
)

insert into ops.touched_recordings (user_id, recording_id, period_start)
select distinct heard.user_id, moved.recording_id, heard.period_start
from unnest(%(users)s::int[], %(contents)s::int[], %(recordings)s::int[]) as moved (user_id, content_id, recording_id)
inner join listeners on moved.user_id is null or listeners.user_id = moved.user_id
cross join lateral (
    select stored.user_id, stored.period_start
    from marts.agg_period_tracks_stored as stored
    where stored.user_id = listeners.user_id and stored.track_id = moved.content_id
    offset 0
) as heard
order by 1, 2, 3
on conflict do nothing
