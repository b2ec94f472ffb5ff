{{ config(
    meta={'slices': 'touched_days', 'slice_keys': ['user_id', 'local_date'],
          'order_by': 'user_id, local_date, local_hour'},
    indexes=[{'columns': ['user_id', 'local_date', 'local_hour'], 'unique': true}],
) }}

with plays as (
    {{ plays_within_touched_dates() }}
),

zones as (
    select * from {{ ref('stg_app__user_time_zones') }}
),

placed as (
    -- A play has one zone from beginning to end: that in which it ended.
    select
        plays.*,
        zones.time_zone,
        -- If played_at is the start, no time before it was heard.
        coalesce(plays.ms_played >= {{ var('spread_from_ms') }} and plays.started_at < plays.played_at, false) as is_spread
    from plays
    inner join zones
        on zones.user_id = plays.user_id and plays.played_at >= zones.valid_from and plays.played_at < zones.valid_until
    where plays.user_id not in (select user_id from {{ source('ops', 'held_back_users') }})
),

-- Cut at every quarter of an hour in UTC: since Spotify's launch, every zone's hours have started on one.
quarters as (
    select
        placed.*,
        greatest(quarter.begins_at, placed.started_at) as begins_at,
        least(quarter.begins_at + interval '15 minutes', placed.played_at) as ends_at
    from placed
    cross join lateral generate_series(
        date_bin('15 minutes', placed.started_at, '2000-01-01Z'),
        placed.played_at - interval '1 microsecond',
        interval '15 minutes'
    ) as quarter (begins_at)
    where placed.is_spread
),

parts as (
    -- Counted where it ended, as in every other total.
    select
        user_id,
        first_date,
        last_date,
        local_date,
        local_hour,
        1 as plays,
        is_counted::int as counted_plays,
        case when is_spread then 0 else coalesce(ms_played, 0) end as ms_played
    from placed
    union all
    -- Differences of whole milliseconds since the start: whatever is rounded off, the parts add up to the play.
    select
        user_id,
        first_date,
        last_date,
        (begins_at at time zone time_zone)::date,
        extract(hour from begins_at at time zone time_zone)::smallint,
        0,
        0,
        (
            floor(extract(epoch from ends_at - started_at) * 1000)
            - floor(extract(epoch from begins_at - started_at) * 1000)
        )::int
    from quarters
)

select
    user_id,
    local_date,
    local_hour,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays,
    sum(ms_played)::bigint as ms_played
from parts
where local_date between first_date and last_date
group by user_id, local_date, local_hour
having sum(plays) > 0 or sum(ms_played) > 0
