-- A view, not columns of dim_tracks: a position on an album changes no play, so it need not wait for a refresh.
{{ config(materialized='view') }}

select
    content_id as track_id,
    album_id,
    disc_number,
    track_number
from {{ ref('stg_raw__contents') }}
where canonical_id = content_id and album_id is not null and track_number is not null
