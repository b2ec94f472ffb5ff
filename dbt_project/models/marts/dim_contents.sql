{{ config(
    meta={'slices': 'run_contents', 'slice_keys': ['content_id']},
    indexes=[{'columns': ['content_id'], 'unique': true}],
) }}

with contents as (
    select * from {{ ref('stg_raw__contents') }}
)

select
    contents.content_id,
    contents.kind,
    contents.uri,
    contents.title,
    contents.creator,
    contents.collection,
    {{ show_of('contents') }} as show_id
from contents
{% if is_incremental() %}
inner join {{ run_contents() }} as run_content on run_content.content_id = contents.content_id
{% endif %}
where contents.canonical_id = contents.content_id
