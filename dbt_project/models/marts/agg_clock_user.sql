{{ config(
    meta={'slices': 'touched_years', 'slice_keys': ['user_id', 'year_start'],
          'order_by': 'user_id, year_start, weekday, local_hour'},
    indexes=[{'columns': ['user_id', 'year_start', 'weekday', 'local_hour'], 'unique': true}],
) }}

with hours as (
    {%- if is_incremental() %}
    select hour.*, touched.year_start
    from ({{ touched_years() }}) as touched
    cross join lateral (
        select *
        from {{ ref('agg_hour_user') }}
        where
            user_id = touched.user_id
            and local_date >= touched.year_start
            and local_date < touched.next_start
        offset 0
    ) as hour
    {%- else %}
    select hour.*, {{ year_of('hour.local_date') }} as year_start
    from {{ ref('agg_hour_user') }} as hour
    {%- endif %}
)

select
    user_id,
    year_start,
    extract(isodow from local_date)::smallint as weekday,
    local_hour,
    sum(plays)::int as plays,
    sum(counted_plays)::int as counted_plays,
    sum(ms_played)::bigint as ms_played
from hours
group by user_id, year_start, extract(isodow from local_date)::smallint, local_hour
