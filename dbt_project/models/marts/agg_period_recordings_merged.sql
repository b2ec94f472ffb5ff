-- Recordings that are not what was heard of one track: the others are rows of agg_period_tracks_stored. A run adds up the
-- touched periods of touched recordings again.
-- depends_on: {{ ref('int_recordings__resolved') }}
-- depends_on: {{ ref('bridge_user_recordings') }}
{{ config(
    meta={'slices': 'touched_recordings', 'slice_keys': ['user_id', 'recording_id', 'period_start'],
          'order_by': 'user_id, period_start, recording_id'},
    indexes=[
        {'columns': ['user_id', 'recording_id', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period_start', 'counted_plays desc', 'ms_played desc', 'recording_id']},
    ],
) }}

with heard as (
    {%- if is_incremental() %}
    select stored.*
    from ({{ tracks_of_touched_recordings() }}) as member
    cross join lateral (
        select *
        from {{ ref('agg_period_tracks_stored') }}
        where
            user_id = member.user_id
            and track_id = member.track_id
            and period_start = member.period_start
            and part_of_recording <> 0
        offset 0
    ) as stored
    {%- else %}
    select * from {{ ref('agg_period_tracks_stored') }} where part_of_recording <> 0
    {%- endif %}
)

select
    sum(ms_played)::bigint as ms_played,
    min(first_played_at) as first_played_at,
    max(last_played_at) as last_played_at,
    user_id,
    period_start,
    part_of_recording as recording_id,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays
from heard
group by user_id, period_start, part_of_recording
