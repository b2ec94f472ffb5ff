-- A page of the tracks, artists or albums of a year or of all time, in the order of the index of top lists: what ties
-- with the last one seen, what has as many counted plays and less time, what has fewer. Each part is a range of the index; a mixed
-- order has no single one.
{#- A recording has the number of one of its tracks, and is listed as that one. #}
{%- set id = 'track_id' if entity == 'recording' else entity ~ '_id' %}
{%- set key = entity ~ '_id' %}
{%- set parts = [
    ('counted_plays = %(after_counted_plays)s and ms_played = %(after_ms_played)s and ' ~ key ~ ' > %(after_' ~ id ~ ')s', key),
    ('counted_plays = %(after_counted_plays)s and ms_played < %(after_ms_played)s', 'ms_played desc, ' ~ key),
    ('counted_plays < %(after_counted_plays)s', 'counted_plays desc, ms_played desc, ' ~ key),
] %}
with page as (
    {%- for condition, order in parts %}
    (
        select {{ key }} as {{ id }}, plays, counted_plays, ms_played, first_played_at, last_played_at
        from marts.agg_period_{{ entity }}s_stored
        where
            user_id = %(user_id)s
            and period_start = %(period_start)s
            and {{ condition }}
        order by {{ order }}
        limit %(limit)s
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

top as (
    select *
    from page
    order by counted_plays desc, ms_played desc, {{ id }}
    limit %(limit)s
)

{% include 'top_names.sql' %}
