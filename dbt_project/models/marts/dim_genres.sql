-- A view: the catalogue keeps words by id, so there is nothing to compute and nothing to fall behind.
{{ config(materialized='view') }}

select
    tag_id as genre_id,
    tag as name
from {{ ref('stg_raw__musicbrainz_tags') }}
where is_genre
