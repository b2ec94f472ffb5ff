-- Sums of agg_period_tracks_stored: a run adds up the touched periods of touched recordings again.
-- depends_on: {{ ref('int_recordings__resolved') }}
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
    select touched.recording_id, stored.*
    from ({{ touched_recordings() }}) as touched
    cross join lateral (
        {{ tracks_of_recording('touched.user_id', 'touched.recording_id') }}
    ) as member
    cross join lateral (
        select user_id, period_start, plays, counted_plays, ms_played, first_played_at, last_played_at
        from {{ ref('agg_period_tracks_stored') }}
        where user_id = touched.user_id and track_id = member.track_id and period_start = touched.period_start
        offset 0
    ) as stored
    {%- else %}
    select coalesce(decided.recording_id, resolved.recording_id, stored.track_id) as recording_id, stored.*
    from {{ ref('agg_period_tracks_stored') }} as stored
    left join {{ ref('int_recordings__resolved') }} as resolved on resolved.content_id = stored.track_id
    left join {{ ref('bridge_user_recordings') }} as decided
        on decided.user_id = stored.user_id and decided.track_id = stored.track_id
    {%- endif %}
)

select
    sum(ms_played)::bigint as ms_played,
    min(first_played_at) as first_played_at,
    max(last_played_at) as last_played_at,
    user_id,
    period_start,
    recording_id,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays
from heard
group by user_id, period_start, recording_id
