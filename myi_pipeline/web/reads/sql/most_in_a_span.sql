-- For each song or track the day, or the week, on which it counted most often, the most first. Reads the plays from one
-- time to another; a week at an end of it has the days that lie inside.
{%- set about = ['times', 'local_date'] %}
{%- set start = 'local_date' if grain == 'day' else 'local_date - (extract(isodow from local_date)::int - 1)' %}
with counted as (
    select content_id as track_id, {{ start }} as local_date, count(*)::int as times
    from marts.fct_plays
    where
        user_id = %(user_id)s
        and played_at >= %(from_at)s
        and played_at < %(to_at)s
        and kind = 'track'
        and is_counted
        and content_id is not null
    group by 1, 2
),

{%- if entity == 'recording' %}

spans as (
    select
        coalesce(decided.recording_id, its.recording_id, counted.track_id) as track_id,
        counted.local_date,
        sum(counted.times)::int as times
    from counted
    left join marts.bridge_user_recordings as decided
        on decided.user_id = %(user_id)s and decided.track_id = counted.track_id
    left join marts.dim_tracks as its on its.track_id = counted.track_id
    group by 1, 2
),
{%- endif %}

best as (
    select distinct on (track_id) track_id, local_date, times
    from {{ 'spans' if entity == 'recording' else 'counted' }}
    where times >= %(at_least)s
    order by track_id, times desc, local_date
),

heard as (
    select *, row_number() over (order by times desc, local_date, track_id) as place
    from best
    order by place
    limit %(limit)s
)

{% include 'named_tracks.sql' %}
