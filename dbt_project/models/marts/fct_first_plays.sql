-- Tracks, artists and albums are stored. The first play of a recording is that of its track heard first: nearly every
-- track is the only one of its recording, so few rows are discarded.
{{ config(materialized='view', meta={'security_invoker': true}) }}

select
    user_id,
    entity_kind,
    entity_id,
    first_played_at,
    first_local_date,
    play_id
from {{ ref('fct_first_plays_stored') }}
union all
select
    first.user_id,
    'recording' as entity_kind,
    whole.recording_id as entity_id,
    first.first_played_at,
    first.first_local_date,
    first.play_id
from {{ ref('fct_first_plays_stored') }} as first
left join {{ ref('dim_tracks') }} as track on track.track_id = first.entity_id
left join {{ ref('bridge_user_recordings') }} as decided
    on decided.user_id = first.user_id and decided.track_id = first.entity_id
inner join {{ ref('agg_period_recordings_stored') }} as whole
    on
        whole.user_id = first.user_id
        and whole.recording_id = coalesce(decided.recording_id, track.recording_id, first.entity_id)
        and whole.period_start = {{ beginning() }}
        and whole.first_played_at = first.first_played_at
where
    first.entity_kind = 'track'
    -- Of two tracks that began at the same instant, the play with the smallest id.
    and not exists (
        select from {{ ref('fct_first_plays_stored') }} as other
        left join {{ ref('dim_tracks') }} as its on its.track_id = other.entity_id
        left join {{ ref('bridge_user_recordings') }} as other_decided
            on other_decided.user_id = other.user_id and other_decided.track_id = other.entity_id
        where
            other.user_id = first.user_id
            and other.entity_kind = 'track'
            and other.first_played_at = first.first_played_at
            and other.play_id < first.play_id
            and coalesce(other_decided.recording_id, its.recording_id, other.entity_id) = whole.recording_id
    )
