{{ config(
    meta={'slices': 'touched_periods_of_users', 'slice_keys': ['user_id', 'period', 'period_start'],
          'order_by': 'user_id, period, period_start'},
    indexes=[{'columns': ['user_id', 'period', 'period_start'], 'unique': true}],
) }}

-- A user has some thousand days at most: even `all` is summed from them.
with days as (
    {%- if is_incremental() %}
    select day.*, touched.period, touched.period_start
    from ({{ touched_periods_of_users() }}) as touched
    cross join lateral (
        select *
        from {{ ref('agg_day_user') }}
        where
            user_id = touched.user_id
            and local_date >= touched.period_start
            and local_date < touched.next_start
        offset 0
    ) as day
    {%- else %}
    select day.*, span.period, span.period_start
    from {{ ref('agg_day_user') }} as day
    cross join lateral ({{ periods_of('day.local_date') }}) as span (period, period_start, next_start)
    {%- endif %}
)

select
    user_id,
    period,
    period_start,
    count(*)::int as days,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays,
    sum(ms_played)::bigint as ms_played,
    sum(unknown_plays)::int as unknown_plays,
    min(local_date) as first_local_date,
    max(local_date) as last_local_date,
    min(first_played_at) as first_played_at,
    max(last_played_at) as last_played_at,
    {{ sums_by_kind() }}
from days
group by user_id, period, period_start
