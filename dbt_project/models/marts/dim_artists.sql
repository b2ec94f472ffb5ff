-- A view: the catalogue keeps artists by id, so there is nothing to compute and nothing to fall behind. Shows that account
-- data lists as artists are left out.
{{ config(materialized='view') }}

select
    artists.artist_id,
    artists.name,
    artists.uri,
    -- Costs nothing unless it is selected. Several sizes of a picture may be kept; the first is the largest.
    (
        select kept.sha256
        from {{ ref('stg_raw__pictures') }} as picture
        inner join {{ ref('stg_raw__kept_pictures') }} as kept on kept.url = picture.url
        where picture.entity_kind = 'artist' and picture.entity_id = artists.artist_id
        order by picture.place
        limit 1
    ) as picture_sha256
from {{ ref('stg_raw__artists') }} as artists
where
    not exists (
        select from {{ ref('int_artists__of_episodes') }} as of_episodes where of_episodes.artist_id = artists.artist_id
    )
