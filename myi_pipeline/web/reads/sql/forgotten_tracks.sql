-- Songs or tracks that were heard often and not since a day, most heard first: down the list of all time, of which the first two
-- thousand are enough to be called favourites.
{%- set about = ['counted_plays', 'last_played_at'] %}
with favourite as (
    select
        {{ entity }}_id as track_id,
        counted_plays,
        last_played_at,
        row_number() over (order by counted_plays desc, ms_played desc, {{ entity }}_id) as place
    from marts.agg_period_{{ entity }}s_stored
    where user_id = %(user_id)s and period_start = date '1970-01-01'
    order by counted_plays desc, ms_played desc, {{ entity }}_id
    limit 2000
),

heard as (
    select *
    from favourite
    where last_played_at < %(before)s and counted_plays >= %(at_least)s
    order by place
    limit %(limit)s
)

{% include 'named_tracks.sql' %}
