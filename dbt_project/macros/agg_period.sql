{#
  The three marts agg_period_tracks, agg_period_artists and agg_period_albums. Built whole, one pass over the plays
  counts all four periods. A run counts the touched weeks and months of each touched entity from plays, and its years
  and all from months: those that it has counted and the untouched ones, which stand in the mart.
#}
{% macro agg_period(entity) -%}
    {%- set id = entity ~ '_id' -%}
    {%- set source_id = 'content_id' if entity == 'track' else id -%}
    {%- if is_incremental() -%} {{ touched_period_rows(entity, id, source_id) }}
    {%- else -%} {{ every_period_row(id, source_id) }}
    {%- endif -%}
{%- endmacro %}

{% macro every_period_row(id, source_id) -%}
with plays as (
    select
        user_id,
        {{ source_id }} as entity_id,
        is_counted,
        ms_played,
        played_at,
        {{ week_of('local_date') }} as week,
        {{ month_of('local_date') }} as month,
        {{ year_of('local_date') }} as year
    from {{ ref('fct_plays') }}
    where kind = 'track' and {{ source_id }} is not null
)

select
    user_id,
    case grouping(week, month, year) when 3 then 'week' when 5 then 'month' when 6 then 'year' else 'all' end as period,
    coalesce(week, month, year, {{ beginning() }}) as period_start,
    entity_id as {{ id }},
    {{ period_figures() }}
from plays
group by grouping sets (
    (user_id, entity_id, week), (user_id, entity_id, month), (user_id, entity_id, year), (user_id, entity_id)
)
{%- endmacro %}

{% macro touched_period_rows(entity, id, source_id) -%}
with touched as materialized (
    select distinct touched.user_id, touched.entity_id, period.period, period.period_start, period.next_start
    from ops.touched_entities as touched
    cross join lateral (
        values
        ('week', {{ week_of('touched.local_date') }}, {{ week_of('touched.local_date') }} + 7),
        ('month', {{ month_of('touched.local_date') }}, ({{ month_of('touched.local_date') }} + interval '1 month')::date)
    ) as period (period, period_start, next_start)
    where touched.entity_kind = {{ entity_kind_number(entity) }}
),

counted as materialized (
    select play.user_id, span.period, span.period_start, play.entity_id, {{ period_figures() }}
    from (select distinct user_id, period, period_start, next_start from touched) as span
    cross join lateral (
        select user_id, {{ source_id }} as entity_id, is_counted, ms_played, played_at
        from {{ ref('fct_plays') }}
        where
            user_id = span.user_id
            and played_at >= {{ surely_before('span.period_start') }}
            and played_at < {{ surely_after('span.next_start') }}
            and local_date >= span.period_start
            and local_date < span.next_start
            and kind = 'track'
        offset 0
    ) as play
    -- `is true` keeps this a lookup in one hash: as a join the planner would repeat it for each span.
    where ((play.user_id, play.entity_id, span.period, span.period_start) in (
        select user_id, entity_id, period, period_start from touched
    )) is true
    group by play.user_id, span.period, span.period_start, play.entity_id
),

months as (
    select * from counted where period = 'month'
    union all
    select standing.*
    from (select distinct user_id, entity_id from touched) as entity
    cross join lateral (
        select
            user_id, period, period_start, {{ id }}, plays, counted_plays, ms_played, first_played_at, last_played_at
        from {{ this }}
        where user_id = entity.user_id and {{ id }} = entity.entity_id and period = 'month'
        offset 0
    ) as standing
    where (standing.user_id, standing.{{ id }}, standing.period_start) not in (
        select user_id, entity_id, period_start from touched where period = 'month'
    )
),

years_and_all as (
    select
        month.user_id,
        period.period,
        period.period_start,
        month.entity_id,
        sum(month.plays)::int as plays,
        sum(month.counted_plays)::int as counted_plays,
        sum(month.ms_played)::bigint as ms_played,
        min(month.first_played_at) as first_played_at,
        max(month.last_played_at) as last_played_at
    from months as month
    cross join lateral (
        values ('year', {{ year_of('month.period_start') }}), ('all', {{ beginning() }})
    ) as period (period, period_start)
    where
        period.period = 'all'
        or (month.user_id, month.entity_id, period.period_start) in (
            select user_id, entity_id, {{ year_of('period_start') }} from touched where period = 'month'
        )
    group by month.user_id, period.period, period.period_start, month.entity_id
)

select
    user_id,
    period,
    period_start,
    entity_id as {{ id }},
    plays,
    counted_plays,
    ms_played,
    first_played_at,
    last_played_at
from (select * from counted union all select * from years_and_all) as every_period
{%- endmacro %}

{% macro period_figures() -%}
    count(*)::int as plays,
    (count(*) filter (where is_counted))::int as counted_plays,
    coalesce(sum(ms_played), 0)::bigint as ms_played,
    min(played_at) as first_played_at,
    max(played_at) as last_played_at
{%- endmacro %}

{# The slices of the three marts: every row that any touched date of an entity counts in. #}
{% macro touched_periods(entity) -%}
    select distinct touched.user_id, touched.entity_id as {{ entity }}_id, period.period, period.period_start
    from ops.touched_entities as touched
    cross join lateral (
        values
        ('week', {{ week_of('touched.local_date') }}),
        ('month', {{ month_of('touched.local_date') }}),
        ('year', {{ year_of('touched.local_date') }}),
        ('all', {{ beginning() }})
    ) as period (period, period_start)
    where touched.entity_kind = {{ entity_kind_number(entity) }}
{%- endmacro %}

{#
  Which rows a slice is. The sum hides period_start from the index of top lists, which has it third and the entity last:
  the planner takes period and period_start for independent, expects one row there, and reads all of the user's.
#}
{% macro same_period(entity) -%}
    target.user_id = slice.user_id
    and target.{{ entity }}_id = slice.{{ entity }}_id
    and target.period = slice.period
    and target.period_start + 0 = slice.period_start
{%- endmacro %}
