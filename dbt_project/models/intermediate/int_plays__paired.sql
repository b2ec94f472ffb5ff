-- depends_on: {{ ref('int_plays__polled_again') }}
{{ config(
    meta={'slices': 'api_days', 'order_by': 'user_id, played_at, event_id', 'marks': 'days_of_changed_matches'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'event_id'], 'unique': true},
        {'columns': ['user_id', 'play_id'], 'unique': true},
        {'columns': ['user_id', 'play_played_at']},
    ],
) }}

with candidates as (
    select
        candidate.*,
        coalesce(of_device.clock, of_user.clock, 'end') as clock,
        coalesce(of_device.offset_s, of_user.offset_s, 0) as offset_s
    from {{ in_api_days(ref('int_plays__candidates'), margin_hours=24) }} as candidate
    left join {{ ref('int_clocks__learnt') }} as of_device
        on of_device.user_id = candidate.user_id and of_device.platform = candidate.platform
    left join {{ ref('int_clocks__learnt') }} as of_user
        on of_user.user_id = candidate.user_id and of_user.platform = ''
),

-- How far the polled time lies from where the learnt clock puts it, and from where another clock might.
measured as (
    select
        *,
        greatest(abs(case clock when 'end' then after_end_s else after_start_s end - offset_s) - half_open_s, 0)
            as by_clock_s,
        greatest(
            least(abs(case clock when 'end' then after_start_s else after_end_s end), abs(after_sound_s - offset_s))
            - half_open_s,
            0
        ) as otherwise_s
    from candidates
),

decided as (
    select
        *,
        case
            when by_clock_s <= {{ var('clock_tolerance_s') }} and is_named then 'confirms_at_' || clock
            when otherwise_s <= {{ var('clock_tolerance_s') }} and is_named then 'confirms_by_another_clock'
            when by_clock_s <= {{ var('nameless_tolerance_s') }} and not is_named then 'unknown_content_by_time'
            when is_named then 'confirms_within_play'
        end as decision
    from measured
),

-- A better reason always wins; among equal reasons the nearer time. Spotify lists short plays now and then: one that
-- lies where a clock puts it still goes behind every long one that does.
priced as materialized (
    select
        *,
        case
            when decision like 'confirms\_at\_%' then by_clock_s
            when decision = 'confirms_by_another_clock' then 1000 + otherwise_s
            when decision = 'unknown_content_by_time' then 2000 + by_clock_s
            else 1000000 + least(by_clock_s, otherwise_s)
        end
        + case when is_long then 0 when decision = 'confirms_within_play' then 1000000 else 10000 end as cost
    from decided
    where decision is not null
),

{%- set rounds = [] %}
{%- for round in range(1, rounds_of_matching() + 1) %}

round_{{ round }} as materialized (
    {{ best_pairs('priced', taken=rounds) }}
)
{{- ',' if not loop.last }}
{%- do rounds.append('round_' ~ round) %}
{%- endfor %}

select
    pair.user_id,
    pair.played_at,
    pair.event_id,
    pair.content_id,
    pair.play_id,
    pair.play_played_at,
    pair.decision
from (
    {%- for round in rounds %}
    select * from {{ round }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
) as pair
{%- if is_incremental() %}
inner join {{ api_days() }} as api_day
    on api_day.user_id = pair.user_id and api_day.utc_day = (pair.played_at at time zone 'UTC')::date
{%- endif %}
