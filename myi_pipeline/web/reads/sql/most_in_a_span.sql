-- For each track the day, or the week, on which it counted most often, the most first. Reads the plays from one time to
-- another; a week at an end of it has the days that lie inside.
{%- set about = ['times', 'local_date'] %}
{%- set start = 'local_date' if grain == 'day' else 'local_date - (extract(isodow from local_date)::int - 1)' %}
with spans as (
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
    having count(*) >= %(at_least)s
),

best as (
    select distinct on (track_id) track_id, local_date, times
    from spans
    order by track_id, times desc, local_date
),

heard as (
    select *, row_number() over (order by times desc, local_date, track_id) as place
    from best
    order by place
    limit %(limit)s
)

{% include 'named_tracks.sql' %}
