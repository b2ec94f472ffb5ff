-- The tracks, artists or albums of any span of days. What is added up holds no more than an order needs; the rest is read
-- for those that are shown.
{%- set id = 'track_id' if entity == 'recording' else entity ~ '_id' %}
{%- set key = entity ~ '_id' %}
{%- set figures = ('ms_played', 'counted_plays') if by|default('plays') == 'time' else ('counted_plays', 'ms_played') %}
{%- set order = figures[0] ~ ' desc, ' ~ figures[1] ~ ' desc, ' ~ id %}
{% include 'heard_in_range.sql' %}

shown as (
    select *
    from heard
    where
        {{ figures[0] }} < %(after_{{ figures[0] }})s
        or (
            {{ figures[0] }} = %(after_{{ figures[0] }})s
            and (
                {{ figures[1] }} < %(after_{{ figures[1] }})s
                or ({{ figures[1] }} = %(after_{{ figures[1] }})s and {{ id }} > %(after_{{ id }})s)
            )
        )
    order by {{ order }}
    limit %(limit)s
),

details as (
    select part.*
    from shown
    cross join whole
    cross join lateral (
        select {{ key }} as {{ id }}, plays, first_played_at, last_played_at
        from marts.agg_period_{{ entity }}s_stored
        where
            user_id = %(user_id)s
            and {{ key }} = shown.{{ id }}
            and period_start = whole.year_start
        offset 0
    ) as part
    union all
    select {{ id }}, plays, first_played_at, last_played_at
    from odd_days
    where {{ id }} in (select {{ id }} from shown)
),

top as (
    select
        {{ id }},
        shown.counted_plays,
        shown.ms_played,
        sum(details.plays)::int as plays,
        min(details.first_played_at) as first_played_at,
        max(details.last_played_at) as last_played_at
    from shown
    inner join details using ({{ id }})
    group by {{ id }}, shown.counted_plays, shown.ms_played
)

{% include 'top_names.sql' %}
