-- The tracks of a recording (`number`) that this user has heard: `own`, and how often in `mine`.
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
