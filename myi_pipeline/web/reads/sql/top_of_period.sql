-- A page of the tracks, artists or albums of a year or of all time, in the order of the index of top lists: what ties
-- with the last one seen, what has as many counted plays and less time, what has fewer. Each part is a range of the index; a mixed
-- order has no single one. Recordings are in two tables, and each of them has such an index: beneath the view of both,
-- all rows would be read and sorted.
{#- A recording has the number of one of its tracks, and is listed as that one. #}
{%- set id = 'track_id' if entity == 'recording' else entity ~ '_id' %}
{%- set tables = [
    ('agg_period_tracks_stored', 'track_id', 'part_of_recording = 0'), ('agg_period_recordings_merged', 'recording_id', ''),
] if entity == 'recording' else [('agg_period_' ~ entity ~ 's_stored', id, '')] %}
with page as (
    {%- for table, key, narrowed in tables %}
    {%- set is_last = loop.last %}
    {%- set parts = [
        ('counted_plays = %(after_counted_plays)s and ms_played = %(after_ms_played)s and ' ~ key ~ ' > %(after_' ~ id ~ ')s', key),
        ('counted_plays = %(after_counted_plays)s and ms_played < %(after_ms_played)s', 'ms_played desc, ' ~ key),
        ('counted_plays < %(after_counted_plays)s', 'counted_plays desc, ms_played desc, ' ~ key),
    ] %}
    {%- for condition, order in parts %}
    (
        select {{ key }} as {{ id }}, plays, counted_plays, ms_played, first_played_at, last_played_at
        from marts.{{ table }}
        where
            user_id = %(user_id)s
            and period_start = %(period_start)s
            {{ 'and ' ~ narrowed if narrowed }}
            and {{ condition }}
        order by {{ order }}
        limit %(limit)s
    )
    {{ 'union all' if not (loop.last and is_last) }}
    {%- endfor %}
    {%- endfor %}
),

top as (
    select *
    from page
    order by counted_plays desc, ms_played desc, {{ id }}
    limit %(limit)s
)

{% include 'top_names.sql' %}
