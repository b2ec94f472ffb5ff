-- depends_on: {{ ref('int_plays__polled_again') }}
{{ config(
    pre_hook="{{ hash_joins_of_many_days('mart_run_api_days') }}",
    meta={'slices': 'api_days', 'order_by': 'user_id, played_at, event_id', 'marks': 'days_of_changed_matches'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'event_id'], 'unique': true},
        {'columns': ['user_id', 'play_id', 'source_id', 'origin'], 'unique': true},
        {'columns': ['user_id', 'play_played_at']},
    ],
) }}

with {{ priced_candidates() }}

{%- for round in range(1, rounds_of_matching() + 1) %}
{%- set open = 'open_' ~ round if round > 1 else 'priced' %}
{%- if round > 1 %}

{{ open }} as materialized (
    {{ still_open('open_' ~ (round - 1) if round > 2 else 'priced', 'round_' ~ (round - 1)) }}
),
{%- endif %}

round_{{ round }} as materialized (
    {{ best_pairs(open) }}
)
{{- ',' if not loop.last }}
{%- endfor %}

select
    pair.user_id,
    pair.played_at,
    pair.event_id,
    pair.content_id,
    pair.source_id,
    pair.origin,
    pair.ms_played,
    pair.play_id,
    pair.play_played_at,
    pair.decision
from (
    {%- for round in range(1, rounds_of_matching() + 1) %}
    select * from round_{{ round }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
) as pair
{%- if is_incremental() %}
inner join {{ api_days() }} as api_day
    on api_day.user_id = pair.user_id and api_day.utc_day = (pair.played_at at time zone 'UTC')::date
{%- endif %}
