-- For each song or track the session in which it was played most often in a row, the longest first.
{%- set about = ['times', 'local_date'] %}
{%- set times, id = {
    'recording': ('longest_repeat_of_recording', 'repeated_recording_id'),
    'track': ('longest_repeat', 'repeated_track_id'),
}[entity] %}
with run as (
    select distinct on ({{ id }})
        {{ id }} as track_id,
        {{ times }} as times,
        local_date,
        ended_at
    from marts.fct_sessions
    where
        user_id = %(user_id)s
        and ended_at >= %(from_at)s
        and ended_at < %(to_at)s
        and {{ times }} >= %(at_least)s
    order by {{ id }}, {{ times }} desc, ended_at
),

heard as (
    select track_id, times, local_date, row_number() over (order by times desc, ended_at) as place
    from run
    order by place
    limit %(limit)s
)

{% include 'named_tracks.sql' %}
