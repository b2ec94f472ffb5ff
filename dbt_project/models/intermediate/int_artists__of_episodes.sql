-- It survives a rebuild, since the view dim_artists reads it: dropping it would drop the view while people read it.
{{ config(
    meta={'survives_rebuild': true, 'slices': 'select 1', 'slice_condition': 'true', 'order_by': 'artist_id'},
    indexes=[{'columns': ['artist_id'], 'unique': true}],
) }}

{%- set knows_more = is_incremental() and env_var('MYI_MART_REBUILD', '0') != '1' %}

with contents as (
    select * from {{ ref('stg_raw__contents') }}
),

-- Artists of tracks that are known to be episodes: those of this run, those with added or removed plays, and the known
-- ones.
artists as (
    select distinct contents.artist_id
    from {{ in_run_days(ref('int_plays__matched')) if knows_more else ref('int_plays__matched') }} as matched
    inner join contents on contents.content_id = matched.content_id
    where matched.decision = 'confirms_by_minute_as_track' and contents.artist_id is not null
    {%- if knows_more %}
    union
    select entity_id from {{ source('ops', 'touched_entities') }} where entity_kind = {{ entity_kind_number('artist') }}
    union
    select artist_id from {{ this }}
    {%- endif %}
)

select artists.artist_id
from artists
inner join {{ ref('stg_raw__artists') }} as named on named.artist_id = artists.artist_id
where
    named.uri is null
    and exists (
        select from contents
        inner join {{ ref('int_plays__matched') }} as matched on matched.content_id = contents.content_id
        where contents.artist_id = artists.artist_id and matched.decision = 'confirms_by_minute_as_track'
    )
    and not exists (
        select from {{ ref('fct_plays') }} as play where play.artist_id = artists.artist_id
    )
