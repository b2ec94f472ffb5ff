-- A view: the catalogue stores folded names, and indexes of their trigrams, with the names. Each branch has an index of
-- its own, and is skipped if a query asks for another kind.
{{ config(materialized='view') }}

select
    'artist' as kind,
    artists.artist_id as entity_id,
    artists.artist_id,
    null::int as album_id,
    artists.search_text,
    ops.search_grams(artists.search_text) as search_grams
from {{ ref('stg_raw__artists') }} as artists
{%- for kind, condition in [("'track'", 'kind_id = 1'), ('contents.kind', 'kind_id <> 1')] %}
union all
select
    {{ kind }},
    contents.content_id,
    contents.artist_id,
    contents.album_id,
    contents.search_text,
    ops.search_grams(contents.search_text)
from {{ ref('stg_raw__contents') }} as contents
where contents.canonical_id = contents.content_id and contents.{{ condition }}
{%- endfor %}
