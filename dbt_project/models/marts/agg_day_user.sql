{{ config(
    meta={'slices': 'touched_days', 'slice_keys': ['user_id', 'local_date'],
          'order_by': 'user_id, local_date'},
    indexes=[{'columns': ['user_id', 'local_date'], 'unique': true}],
) }}

with plays as (
    {{ plays_of_touched_dates() }}
)

select
    user_id,
    local_date,
    count(*)::int as plays,
    (count(*) filter (where is_counted))::int as counted_plays,
    coalesce(sum(ms_played), 0)::bigint as ms_played,
    (count(*) filter (where ms_played is null))::int as unknown_plays,
    (count(distinct content_id) filter (where kind = 'track'))::int as distinct_tracks,
    (count(distinct artist_id) filter (where kind = 'track'))::int as distinct_artists,
    min(played_at) as first_played_at,
    max(played_at) as last_played_at,
    {{ figures_by_kind() }}
from plays
group by user_id, local_date
