-- For each track the session in which it was played most often in a row, the longest first.
{%- set about = ['times', 'local_date'] %}
with run as (
    select distinct on (repeated_track_id)
        repeated_track_id as track_id,
        longest_repeat as times,
        local_date,
        ended_at
    from marts.fct_sessions
    where
        user_id = %(user_id)s
        and ended_at >= %(from_at)s
        and ended_at < %(to_at)s
        and longest_repeat >= %(at_least)s
    order by repeated_track_id, longest_repeat desc, ended_at
),

heard as (
    select track_id, times, local_date, row_number() over (order by times desc, ended_at) as place
    from run
    order by place
    limit %(limit)s
)

{% include 'named_tracks.sql' %}
