-- depends_on: {{ ref('int_plays__polled_again') }}
-- The rounds compare what none of them has statistics of: nested loops over 50,000 candidates took two minutes.
{{ config(
    pre_hook="select set_config('enable_nestloop', 'off', true)",
    meta={'slices': 'api_days', 'order_by': 'user_id, played_at, event_id', 'marks': 'days_of_changed_matches'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'event_id'], 'unique': true},
        {'columns': ['user_id', 'play_id', 'source_id', 'origin'], 'unique': true},
        {'columns': ['user_id', 'play_played_at']},
    ],
) }}

with candidates as (
    select
        candidate.*,
        source.clock = 'start' as is_scrobble,
        source.may_be_off_s > 60 as is_far,
        teller.clock as play_clock,
        case when teller.clock <> 'end' then teller.rank else 0 end as play_rank,
        coalesce(of_device.clock, of_source.clock, case source.clock when 'start' then 'start' else 'end' end) as clock,
        coalesce(of_device.offset_s, of_source.offset_s, 0) as offset_s,
        coalesce(of_play.clock, of_play_source.clock, case teller.clock when 'start' then 'start' else 'end' end)
            as clock_of_play,
        case when teller.clock = 'end' then 0 else coalesce(of_play.offset_s, of_play_source.offset_s, 0) end
            as offset_of_play_s
    from {{ in_api_days(ref('int_plays__candidates'), margin_hours=72) }} as candidate
    inner join {{ ref('stg_raw__sources') }} as source on source.source_id = candidate.source_id
    inner join {{ ref('stg_raw__sources') }} as teller on teller.source_id = candidate.play_source_id
    left join {{ ref('int_clocks__learnt') }} as of_device
        on
            of_device.user_id = candidate.user_id
            and of_device.source_id = candidate.source_id
            and of_device.platform = candidate.platform
    left join {{ ref('int_clocks__learnt') }} as of_source
        on
            of_source.user_id = candidate.user_id
            and of_source.source_id = candidate.source_id
            and of_source.platform = ''
    left join {{ ref('int_clocks__learnt') }} as of_play
        on
            of_play.user_id = candidate.user_id
            and of_play.source_id = candidate.play_source_id
            and of_play.platform = candidate.play_platform
    left join {{ ref('int_clocks__learnt') }} as of_play_source
        on
            of_play_source.user_id = candidate.user_id
            and of_play_source.source_id = candidate.play_source_id
            and of_play_source.platform = ''
),

-- Where the play lies by its own source's clock.
placed as (
    select
        *,
        after_end_s + offset_of_play_s + case when play_clock = 'learnt' and clock_of_play = 'start' then - length_s else 0 end
            as behind_end_s,
        case when play_clock = 'learnt' and clock_of_play = 'start' then after_end_s else after_start_s end
        + offset_of_play_s as behind_start_s
    from candidates
),

-- How far the event's time lies from where the learnt clock puts it, and from where another clock might.
measured as (
    select
        *,
        abs(case clock when 'end' then coalesce(behind_end_s, behind_start_s) else behind_start_s end - offset_s)
            as off_clock_s,
        least(
            -- Of a poll of unknown length the other end is no place of its own, and a scrobble of an archive's play has a
            -- clock that is learnt.
            case when not is_scrobble or (play_clock = 'learnt' and length_s is not null) then
                abs(case clock when 'end' then behind_start_s else behind_end_s end)
            end,
            abs(after_sound_s - offset_s),
            -- A clock that was put forward or back for the summer.
            case when is_far and is_rare then abs(abs(behind_start_s - offset_s) - 3600) end
        ) as off_otherwise_s,
        case
            when not is_scrobble then true
            when not is_same_song then false
            when play_clock = 'start' then false
            else
                behind_end_s - offset_s <= half_open_s + 60
                and coalesce(behind_start_s - offset_s >= - half_open_s - 2760, true)
        end as is_within,
        -- Where no archive has told what the clock adds.
        case when is_scrobble and is_same_song and play_clock <> 'end' then {{ var('scrobble_tolerance_s') }}
            else {{ var('clock_tolerance_s') }}
        end as tolerance_s
    from placed
),

-- What cut times leave open is no distance; what nobody knows is not near.
cut as (
    select
        *,
        case when off_clock_s > half_open_s then off_clock_s - half_open_s else 0 * off_clock_s end as by_clock_s,
        case when off_otherwise_s > half_open_s then off_otherwise_s - half_open_s else 0 * off_otherwise_s end as otherwise_s
    from measured
),

decided as (
    select
        *,
        case
            when by_clock_s <= tolerance_s and is_named then 'confirms_at_' || clock
            when otherwise_s <= tolerance_s and is_named then 'confirms_by_another_clock'
            when by_clock_s <= {{ var('nameless_tolerance_s') }} and not is_named then 'unknown_content_by_time'
            when is_named and is_within then 'confirms_within_play'
        end as decision
    from cut
),

-- A better reason always wins; among equal reasons the nearer time. Spotify lists short plays now and then: one that
-- lies where a clock puts it still goes behind every long one that does.
priced as materialized (
    select
        user_id,
        played_at,
        event_id,
        content_id,
        source_id,
        origin,
        ms_played,
        play_id,
        play_played_at,
        decision,
        case
            when decision like 'confirms\_at\_%' then by_clock_s
            when decision = 'confirms_by_another_clock' then 1000 + otherwise_s
            when decision = 'unknown_content_by_time' then 2000 + by_clock_s
            else 1000000 + least(by_clock_s, otherwise_s)
        end
        + case when is_long then 0 when decision = 'confirms_within_play' then 1000000 else 10000 end as cost,
        -- A scrobble goes to whoever knows best, of those that its clock puts it at.
        case
            when not is_scrobble or decision like 'confirms\_at\_%' then 0
            when decision = 'confirms_within_play' then 2
            else 1
        end as doubt,
        case when is_scrobble then play_rank else 0 end as play_rank
    from decided
    where decision is not null
),

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
