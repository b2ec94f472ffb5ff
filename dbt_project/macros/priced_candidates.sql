{#
  The part of int_plays__paired that judges each candidate separately: CTEs that end in `priced`, the candidates that
  may be one play, each with the reason and its price. best_pairs chooses among them.
#}
{% macro priced_candidates() -%}
candidates as (
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

-- How long after the play's end and start the event's time is, with the play placed by its own source's clock.
placed as (
    select
        *,
        after_end_s + offset_of_play_s + case when play_clock = 'learnt' and clock_of_play = 'start' then - length_s else 0 end
            as behind_end_s,
        case when play_clock = 'learnt' and clock_of_play = 'start' then after_end_s else after_start_s end
        + offset_of_play_s as behind_start_s
    from candidates
),

-- How far the event's time is from where the learnt clock puts it, and from where another clock might.
measured as (
    select
        *,
        abs(case clock when 'end' then coalesce(behind_end_s, behind_start_s) else behind_start_s end - offset_s)
            as off_clock_s,
        least(
            -- A poll of unknown length has no separate other end, and a scrobble of an archive's play has a learnt
            -- clock.
            case when not is_scrobble or (play_clock = 'learnt' and length_s is not null) then
                abs(case clock when 'end' then behind_start_s else behind_end_s end)
            end,
            abs(after_sound_s - offset_s),
            -- A clock that was changed to or from summer time.
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
        -- If no archive has shown what the clock adds.
        case when is_scrobble and is_same_song and play_clock <> 'end' then {{ var('scrobble_tolerance_s') }}
            else {{ var('clock_tolerance_s') }}
        end as tolerance_s
    from placed
),

-- What truncation leaves open is not a distance; an unknown distance is not near.
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

-- A better reason always wins; among equal reasons, the nearer time does. Spotify sometimes lists short plays: one that
-- is where a clock puts it still comes after every long one that is.
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
        -- A scrobble goes to the most reliable source among those where its clock puts it.
        case
            when not is_scrobble or decision like 'confirms\_at\_%' then 0
            when decision = 'confirms_within_play' then 2
            else 1
        end as doubt,
        case when is_scrobble then play_rank else 0 end as play_rank
    from decided
    where decision is not null
),
{%- endmacro %}
