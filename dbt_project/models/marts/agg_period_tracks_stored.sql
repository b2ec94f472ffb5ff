-- The key begins with the track: a run finds everybody who heard one whose genres or recording have changed.
-- Most songs have one track: what was heard of it is what was heard of the song. Such rows have no part_of_recording, and
-- agg_period_recordings_stored shows them as they are.
-- depends_on: {{ ref('int_recordings__resolved') }}
-- depends_on: {{ ref('bridge_user_recordings') }}
{{ config(
    meta={'slices': 'touched_tracks', 'slice_keys': ['user_id', 'track_id', 'period_start'],
          'order_by': 'user_id, period_start, track_id'},
    indexes=[
        {'columns': ['track_id', 'user_id', 'period_start'], 'unique': true},
        {'columns': ['user_id', 'period_start', 'counted_plays desc', 'ms_played desc', 'track_id', 'part_of_recording']},
    ],
) }}

{%- set figures = 'user_id, period_start, track_id, plays, counted_plays, ms_played, first_played_at, last_played_at' %}

with counted as (
    {{ agg_period_stored('track') }}
),

heard as (
    {%- if is_incremental() %}
    select
        {{ figures }},
        {{ recording_of('counted.user_id', 'counted.track_id') }} as recording_id
    from counted
    union all
    select standing.*, member.recording_id
    from ({{ tracks_of_touched_recordings() }}) as member
    cross join lateral (
        select {{ figures }}
        from {{ this }}
        where user_id = member.user_id and track_id = member.track_id and period_start = member.period_start
        offset 0
    ) as standing
    where (member.user_id, member.track_id, member.period_start) not in ({{ touched_years_of('track') }})
    {%- else %}
    select counted.*, coalesce(decided.recording_id, resolved.recording_id, counted.track_id) as recording_id
    from counted
    left join {{ ref('int_recordings__resolved') }} as resolved on resolved.content_id = counted.track_id
    left join {{ ref('bridge_user_recordings') }} as decided
        on decided.user_id = counted.user_id and decided.track_id = counted.track_id
    {%- endif %}
)

select
    ms_played,
    first_played_at,
    last_played_at,
    user_id,
    period_start,
    track_id,
    plays,
    counted_plays,
    case
        when recording_id = track_id and count(*) over (partition by user_id, period_start, recording_id) = 1 then 0
        else recording_id
    end as part_of_recording
from heard
