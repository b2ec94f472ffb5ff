{{ config(
    meta={'slices': 'api_days', 'slice_keys': ['user_id', 'utc_day'], 'order_by': 'user_id, utc_day'},
    indexes=[{'columns': ['user_id', 'utc_day', 'platform', 'clock', 'offset_s'], 'unique': true}],
) }}

with candidates as materialized (
    select candidate.*
    from {{ in_api_days(ref('int_plays__candidates'), margin_hours=24) }} as candidate
    where candidate.is_named and candidate.is_long
),

sole as (
    select
        *,
        count(*) over (partition by user_id, event_id) as plays,
        count(*) over (partition by user_id, play_id) as events
    from candidates
),

told as (
    select
        user_id,
        (played_at at time zone 'UTC')::date as utc_day,
        platform,
        case when abs(after_end_s) < abs(after_start_s) then 'end' else 'start' end as clock,
        least(abs(after_end_s), abs(after_start_s)) as off_s,
        case when abs(after_end_s) < abs(after_start_s) then after_end_s else after_start_s end as after_s,
        -- What cut minutes leave open says nothing of an offset.
        half_open_s < 1 as tells_offset,
        30 + half_open_s as most_s
    from sole
    where
        plays = 1
        and events = 1
        -- Start and end are far enough apart to be distinguished.
        and after_start_s - after_end_s >= 90 + 2 * half_open_s
)

select
    told.user_id,
    told.utc_day,
    told.platform,
    told.clock,
    -- In steps of 5 s, so that one more play hardly ever moves it.
    case when told.tells_offset then round(told.after_s / 5) * 5 else 0 end::smallint as offset_s,
    count(*)::int as votes
from told
{%- if is_incremental() %}
inner join {{ api_days() }} as api_day on api_day.user_id = told.user_id and api_day.utc_day = told.utc_day
{%- endif %}
where told.off_s <= told.most_s
group by 1, 2, 3, 4, 5
