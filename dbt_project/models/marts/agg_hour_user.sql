{{ config(
    meta={'slices': 'select user_id, local_date from ops.touched_dates', 'slice_keys': ['user_id', 'local_date'],
          'order_by': 'user_id, local_date, local_hour'},
    indexes=[{'columns': ['user_id', 'local_date', 'local_hour'], 'unique': true}],
) }}

with plays as (
    {{ plays_of_touched_dates() }}
)

select
    user_id,
    local_date,
    local_hour,
    count(*)::int as plays,
    (count(*) filter (where is_counted))::int as counted_plays,
    coalesce(sum(ms_played), 0)::bigint as ms_played
from plays
group by user_id, local_date, local_hour
