-- Where some tracks, artists or albums stood among all that was heard in some days, and when each was first heard.
{%- set id = 'track_id' if entity == 'recording' else entity ~ '_id' %}
{%- set order = ('ms_played desc, counted_plays desc, ' if by == 'time' else 'counted_plays desc, ms_played desc, ') ~ id %}
{% include 'heard_in_range.sql' %}

placed as (
    select
        {{ id }},
        (row_number() over (order by {{ order }}))::int as rank
    from heard
)

select
    asked.id,
    placed.rank,
    first.first_local_date
from unnest(%(ids)s::int[]) as asked (id)
left join placed on placed.{{ id }} = asked.id
{%- if entity == 'recording' %}
-- The first of its tracks that was heard.
left join lateral (
    select min(of_track.first_local_date) as first_local_date
    from marts.fct_first_plays as of_track
    where
        of_track.user_id = %(user_id)s
        and of_track.entity_kind = 'track'
        and of_track.entity_id in (
            {% filter replace('%(id)s', 'asked.id') %}{% include 'tracks_of_recording.sql' %}{% endfilter %}
        )
) as first on true
{%- else %}
left join marts.fct_first_plays as first
    on first.user_id = %(user_id)s and first.entity_kind = '{{ entity }}' and first.entity_id = asked.id
{%- endif %}
