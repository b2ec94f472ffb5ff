{{ config(
    meta={'slices': 'run_tracks', 'slice_keys': ['track_id']},
    indexes=[{'columns': ['track_id'], 'unique': true}, {'columns': ['artist_id']}, {'columns': ['album_id']},
             {'columns': ['recording_id']}],
) }}

with contents as (
    select * from {{ ref('stg_raw__contents') }}
),

artists as (
    select * from {{ ref('stg_raw__artists') }}
),

albums as (
    select * from {{ ref('stg_raw__albums') }}
),

resolved as (
    select * from {{ ref('int_recordings__resolved') }}
)

select
    contents.content_id as track_id,
    contents.artist_id,
    contents.album_id,
    contents.duration_ms,
    contents.uri,
    contents.title as name,
    artists.name as artist_name,
    albums.name as album_name,
    contents.isrc,
    coalesce(resolved.recording_id, contents.content_id) as recording_id,
    resolved.confidence as recording_confidence,
    resolved.reason as recording_reason,
    -- A recording is as old as its first release, and at least as old as any album that contains it.
    least(recordings.first_release_year, albums.release_year) as release_year
from contents
{% if is_incremental() %}
inner join {{ run_tracks() }} as run_track on run_track.track_id = contents.content_id
{% endif %}
left join artists on artists.artist_id = contents.artist_id
left join albums on albums.album_id = contents.album_id
left join resolved on resolved.content_id = contents.content_id
left join {{ ref('stg_raw__found_recordings') }} as found on found.content_id = contents.content_id
left join {{ ref('stg_raw__musicbrainz_recordings') }} as recordings on recordings.recording_mbid = found.recording_mbid
where contents.canonical_id = contents.content_id and contents.kind = 'track'
