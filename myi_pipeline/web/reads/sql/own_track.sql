left join lateral (
    -- Of its tracks the one that this user has heard most: what others here have played is not theirs to see.
    select own.*
    {% include 'heard_tracks.sql' %}
    order by mine.counted_plays desc, mine.ms_played desc, own.track_id
    limit 1
) as track on true
