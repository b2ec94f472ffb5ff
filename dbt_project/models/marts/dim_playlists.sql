{{ config(
    meta={'slices': 'run_playlists', 'slice_keys': ['playlist_id'], 'order_by': 'user_id, playlist_id'},
    indexes=[{'columns': ['playlist_id'], 'unique': true}, {'columns': ['user_id']}],
) }}

with playlists as (
    select playlists.*
    from {{ ref('stg_raw__playlists') }} as playlists
    {%- if is_incremental() %}
    inner join {{ run_playlists() }} as run_playlist on run_playlist.playlist_id = playlists.playlist_id
    {%- endif %}
)

select
    playlists.user_id,
    playlists.playlist_id,
    playlists.provider,
    playlists.account_id,
    playlists.provider_playlist,
    latest.name,
    latest.description,
    latest.owner_id,
    latest.owner_name,
    latest.is_public,
    latest.is_collaborative,
    playlists.provider_playlist = 'liked' and playlists.provider <> 'file' as is_liked_songs,
    latest.state,
    latest.items,
    latest.version_no as versions,
    playlists.first_seen_at,
    latest.seen_at as last_changed_at,
    case when latest.state = 'gone' then latest.seen_at end as deleted_at,
    latest.url
from playlists
cross join lateral (
    select *
    from {{ ref('stg_raw__playlist_versions') }}
    where playlist_id = playlists.playlist_id
    order by version_no desc
    limit 1
) as latest
