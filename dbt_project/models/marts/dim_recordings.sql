-- A view: names are those of the track whose id the recording has.
{{ config(materialized='view') }}

with resolved as (
    select * from {{ ref('int_recordings__resolved') }}
),

numbers as (
    select recording_id from resolved
    union
    -- Recordings that exist for one listener only.
    select recording_id from {{ source('ops', 'user_recordings') }}
)

select
    numbers.recording_id,
    track.name,
    track.artist_id,
    track.artist_name,
    track.album_id,
    track.album_name,
    track.duration_ms,
    track.uri,
    coalesce(its.tracks, 0) as tracks,
    its.isrcs,
    its.confidence
from numbers
inner join {{ ref('dim_tracks') }} as track on track.track_id = numbers.recording_id
left join lateral (
    select
        count(*)::int as tracks,
        array_remove(array_agg(distinct member.isrc), null) as isrcs,
        min(resolved.confidence) as confidence
    from resolved
    inner join {{ ref('dim_tracks') }} as member on member.track_id = resolved.content_id
    where resolved.recording_id = numbers.recording_id
) as its on true
