-- Depends on every mart, so that a reader who sees a new version also finds the new rows:
{% for mart in [
    'dim_users', 'dim_contents', 'dim_contexts', 'dim_date', 'dim_shows', 'dim_tracks', 'dim_artists', 'dim_albums',
    'dim_album_tracks', 'agg_clock_user', 'agg_period_user', 'agg_period_tracks', 'agg_period_artists', 'agg_period_albums',
    'agg_period_shows', 'agg_period_recordings', 'dim_recordings', 'bridge_user_recordings', 'agg_streaks', 'fct_first_plays',
    'fct_sessions', 'fct_coverage_gaps', 'fct_covered_spans', 'fct_top_ranks', 'fct_hidden_plays', 'search_names',
    'dim_genres', 'bridge_track_genres', 'bridge_artist_genres', 'agg_period_genres', 'agg_period_tracks_stored',
    'dim_playlists', 'fct_playlist_items', 'fct_playlist_changes', 'agg_playlist_plays',
] %}
-- depends_on: {{ ref(mart) }}
{%- endfor %}
{{ config(
    enabled=target.name != 'verify',
    meta={'slices': 'touched_listeners', 'slice_keys': ['user_id'], 'order_by': 'user_id'},
    indexes=[{'columns': ['user_id'], 'unique': true}],
) }}

with users as (
    select users.user_id
    from {{ ref('stg_app__users') }} as users
    {%- if is_incremental() %}
    inner join {{ touched_listeners() }} as touched on touched.user_id = users.user_id
    {%- endif %}
)

select
    user_id,
    {{ mart_run_id() }}::bigint as version,
    now() as refreshed_at
from users
