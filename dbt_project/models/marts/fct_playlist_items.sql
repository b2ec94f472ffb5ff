{{ config(
    meta={'slices': 'run_playlists', 'slice_keys': ['playlist_id'], 'order_by': 'user_id, playlist_id, position'},
    indexes=[
        {'columns': ['playlist_id', 'position'], 'unique': true},
        {'columns': ['user_id', 'content_id']},
    ],
) }}

with playlists as (
    select playlists.playlist_id, playlists.user_id
    from {{ ref('stg_raw__playlists') }} as playlists
    {%- if is_incremental() %}
    inner join {{ run_playlists() }} as run_playlist on run_playlist.playlist_id = playlists.playlist_id
    {%- endif %}
)

select
    playlists.user_id,
    items.playlist_id,
    items.position,
    items.kind,
    items.canonical_id as content_id,
    items.added_at,
    items.added_by,
    items.item_id,
    items.title,
    items.artist
from playlists
cross join lateral (
    select playlist_id, items_key
    from {{ ref('stg_raw__playlist_versions') }}
    where playlist_id = playlists.playlist_id
    order by version_no desc
    limit 1
) as latest
inner join {{ ref('stg_raw__playlist_items') }} as items
    on items.playlist_id = latest.playlist_id and items.items_key = latest.items_key
