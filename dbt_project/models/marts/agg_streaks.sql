{{ config(
    meta={'slices': 'touched_users', 'slice_keys': ['user_id'],
          'order_by': 'user_id, streak_start'},
    indexes=[{'columns': ['user_id', 'streak_start'], 'unique': true}],
) }}

with days as (
    {%- if is_incremental() %}
    select day.*
    from {{ touched_users() }} as touched
    cross join lateral (
        select user_id, local_date, plays
        from {{ ref('agg_day_user') }}
        where user_id = touched.user_id
        offset 0
    ) as day
    {%- else %}
    select user_id, local_date, plays from {{ ref('agg_day_user') }}
    {%- endif %}
),

numbered as (
    -- Consecutive days have the same difference.
    select
        *,
        local_date - row_number() over (partition by user_id order by local_date)::int as streak
    from days
)

select
    user_id,
    min(local_date) as streak_start,
    max(local_date) as streak_end,
    count(*)::int as days,
    sum(plays)::int as plays
from numbered
group by user_id, streak
