-- A view: the catalogue keeps albums by id, so there is nothing to compute and nothing to fall behind.
{{ config(materialized='view') }}

select
    albums.album_id,
    albums.name,
    albums.artist_id,
    albums.uri
from {{ ref('stg_raw__albums') }} as albums
