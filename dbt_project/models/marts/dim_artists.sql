-- A view: the catalogue keeps artists by id, so there is nothing to compute and nothing to fall behind.
{{ config(materialized='view') }}

select
    artists.artist_id,
    artists.name,
    artists.uri,
    -- Costs nothing where it is not asked for. Sizes of one picture may be kept several; the first is the largest.
    (
        select kept.sha256
        from {{ ref('stg_raw__pictures') }} as picture
        inner join {{ ref('stg_raw__kept_pictures') }} as kept on kept.url = picture.url
        where picture.entity_kind = 'artist' and picture.entity_id = artists.artist_id
        order by picture.place
        limit 1
    ) as picture_sha256
from {{ ref('stg_raw__artists') }} as artists
