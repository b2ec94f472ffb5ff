left join lateral (
    -- Of its tracks the one that this user has heard most: what others here have played is not theirs to see.
    select own.*
    from (
        {% filter replace('%(id)s', number) %}{% include 'tracks_of_recording.sql' %}{% endfilter %}
    ) as member
    cross join lateral (
        select counted_plays, ms_played
        from marts.agg_period_tracks_stored
        where user_id = %(user_id)s and track_id = member.track_id and period_start = date '1970-01-01'
        offset 0
    ) as mine
    inner join marts.dim_tracks as own on own.track_id = member.track_id
    order by mine.counted_plays desc, mine.ms_played desc, own.track_id
    limit 1
) as track on true
