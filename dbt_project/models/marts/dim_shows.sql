-- A view: shows and books have no ids in raw, so they are what episodes and chapters name.
{{ config(materialized='view') }}

select
    contents.show_id,
    case contents.kind when 'episode' then 'podcast' else 'audiobook' end as kind,
    -- Of several spellings, one with capitals, and the same one on every server.
    min(contents.collection collate "C") as name,
    min(contents.creator collate "C") as author,
    count(*)::int as contents
from {{ ref('dim_contents') }} as contents
where contents.show_id is not null
group by contents.show_id, contents.kind
