{{ config(
    pre_hook="{{ hash_joins_of_many_days('mart_run_api_days') }}",
    meta={'slices': 'api_days', 'slice_keys': ['user_id', 'utc_day'], 'order_by': 'user_id, utc_day'},
    indexes=[{'columns': ['user_id', 'utc_day', 'source_id', 'platform', 'clock', 'offset_s'], 'unique': true}],
) }}

-- Witnesses are archives that know when a play began and ended; for a clock that may be off by hours, also other
-- scrobblers whose clock is not. Those also show which end of a play polls report, if the track's length is known.
with near_candidates as materialized (
    select * from {{ in_api_days(ref('int_plays__candidates'), margin_hours=72) }} as candidate
),

candidates as materialized (
    select
        candidate.*,
        teller.clock = 'end' as is_archive,
        case teller.clock when 'end' then 0 else candidate.play_source_id end as teller,
        source.may_be_off_s,
        source.may_be_off_s > 60 as is_far
    from near_candidates as candidate
    inner join {{ ref('stg_raw__sources') }} as source on source.source_id = candidate.source_id
    inner join {{ ref('stg_raw__sources') }} as teller on teller.source_id = candidate.play_source_id
    where
        candidate.is_named
        and candidate.is_long
        and candidate.is_same_song
        and (
            teller.clock = 'end'
            or (source.may_be_off_s > 60 and teller.clock = 'start' and teller.may_be_off_s <= 60)
        )
),

sole as (
    select
        *,
        count(*) over (partition by user_id, event_id, teller) as plays,
        count(*) over (partition by user_id, play_id, source_id, origin) as events
    from candidates
),

told as (
    select
        user_id,
        (played_at at time zone 'UTC')::date as utc_day,
        source_id,
        platform,
        case when not is_far and abs(after_end_s) < abs(after_start_s) then 'end' else 'start' end as clock,
        case when is_far then 0 else least(abs(after_end_s), abs(after_start_s)) end as off_s,
        case when not is_far and abs(after_end_s) < abs(after_start_s) then after_end_s else after_start_s end as after_s,
        -- Times truncated to minutes say nothing about an offset.
        half_open_s <= 1 or is_far as tells_offset,
        may_be_off_s + half_open_s as most_s
    from sole
    where
        plays = 1
        and events = 1
        -- Start and end are far enough apart to be distinguished.
        and (is_far or after_start_s - after_end_s >= 90 + 2 * half_open_s)
),

polled as (
    select
        candidate.user_id,
        candidate.play_played_at,
        candidate.play_source_id,
        candidate.after_start_s,
        candidate.after_end_s,
        count(*) over (partition by candidate.user_id, candidate.event_id) as plays,
        count(*) over (partition by candidate.user_id, candidate.play_id, candidate.source_id, candidate.origin) as events
    from near_candidates as candidate
    inner join {{ ref('stg_raw__sources') }} as source on source.source_id = candidate.source_id
    inner join {{ ref('stg_raw__sources') }} as teller on teller.source_id = candidate.play_source_id
    where
        teller.clock = 'learnt' and source.may_be_off_s <= 60 and candidate.is_same_song and candidate.length_s >= 120
)

select
    told.user_id,
    told.utc_day,
    told.source_id,
    told.platform,
    told.clock,
    -- In steps of 5 s, so that one more play hardly ever moves it.
    case when told.tells_offset then round(told.after_s / 5) * 5 else 0 end::int as offset_s,
    count(*)::int as votes
from (
    select user_id, utc_day, source_id, platform, clock, off_s, after_s, tells_offset, most_s from told
    union all
    -- They show which end, but not how much later.
    select
        user_id,
        (play_played_at at time zone 'UTC')::date,
        play_source_id,
        '',
        case when abs(after_start_s) < abs(after_end_s) then 'end' else 'start' end,
        least(abs(after_start_s), abs(after_end_s)),
        0,
        false,
        {{ var('scrobble_tolerance_s') }}
    from polled
    where plays = 1 and events = 1
) as told
{%- if is_incremental() %}
inner join {{ api_days() }} as api_day on api_day.user_id = told.user_id and api_day.utc_day = told.utc_day
{%- endif %}
where told.off_s <= told.most_s
group by 1, 2, 3, 4, 5, 6
