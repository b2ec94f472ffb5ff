{{ config(
    meta={'slices': 'touched_firsts', 'slice_keys': ['user_id', 'entity_kind', 'entity_id'],
          'order_by': 'user_id, entity_kind, first_played_at'},
    indexes=[
        {'columns': ['user_id', 'entity_kind', 'entity_id'], 'unique': true},
        {'columns': ['user_id', 'entity_kind', 'first_played_at']},
    ],
) }}

{%- set entities = [('track', ref('agg_period_tracks_stored')), ('artist', ref('agg_period_artists_stored')),
                    ('album', ref('agg_period_albums_stored'))] %}

with firsts as (
    {%- for entity, periods in entities %}
    {%- if is_incremental() %}
    select first.*
    from (
        select distinct user_id, entity_id from {{ source('ops', 'touched_entities') }}
        where entity_kind = {{ entity_kind_number(entity) }}
    ) as touched
    cross join lateral (
        select user_id, '{{ entity }}' as entity_kind, {{ entity }}_id as entity_id, first_played_at
        from {{ periods }}
        where user_id = touched.user_id and {{ entity }}_id = touched.entity_id and period_start = {{ beginning() }}
        offset 0
    ) as first
    {%- else %}
    select user_id, '{{ entity }}' as entity_kind, {{ entity }}_id as entity_id, first_played_at
    from {{ periods }}
    where period_start = {{ beginning() }}
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    first.user_id,
    first.entity_kind,
    first.entity_id,
    first.first_played_at,
    play.local_date as first_local_date,
    play.play_id
from firsts as first
cross join lateral (
    -- Among plays at one instant, the one with the smallest id; they all have one local date.
    select
        min(play_id) as play_id,
        min(local_date) as local_date
    from {{ ref('fct_plays') }}
    where
        user_id = first.user_id
        and played_at = first.first_played_at
        and kind = 'track'
        and case first.entity_kind when 'track' then content_id when 'artist' then artist_id else album_id end
        = first.entity_id
) as play
