-- A view: the catalogue keeps albums by id, so there is nothing to compute and nothing to fall behind.
{{ config(materialized='view') }}

select
    albums.album_id,
    albums.name,
    albums.artist_id,
    albums.uri,
    -- Costs nothing unless it is selected. Several sizes of a picture may be kept; the first is the largest.
    (
        select kept.sha256
        from {{ ref('stg_raw__pictures') }} as picture
        inner join {{ ref('stg_raw__kept_pictures') }} as kept on kept.url = picture.url
        where picture.entity_kind = 'album' and picture.entity_id = albums.album_id
        order by picture.place
        limit 1
    ) as picture_sha256,
    albums.total_tracks,
    albums.release_year
from {{ ref('stg_raw__albums') }} as albums
