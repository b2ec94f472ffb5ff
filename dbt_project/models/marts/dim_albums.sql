-- A view: the catalogue keeps albums by id, so there is nothing to compute and nothing to fall behind.
{{ config(materialized='view') }}

select
    albums.album_id,
    albums.name,
    albums.artist_id,
    albums.uri,
    -- Costs nothing where it is not asked for. Sizes of one picture may be kept several; the first is the largest.
    (
        select kept.sha256
        from {{ ref('stg_raw__pictures') }} as picture
        inner join {{ ref('stg_raw__kept_pictures') }} as kept on kept.url = picture.url
        where picture.entity_kind = 'album' and picture.entity_id = albums.album_id
        order by picture.place
        limit 1
    ) as picture_sha256
from {{ ref('stg_raw__albums') }} as albums
