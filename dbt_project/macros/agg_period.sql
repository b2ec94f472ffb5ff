{#
  What a listener heard of each track, artist or album, by period. Years and all time are stored, in
  agg_period_tracks_stored and the like. Weeks and months are counted from plays when read: most of their rows would
  represent one play or two, and a week or a month of one listener is read in milliseconds.
#}

{#
  The view: agg_period_tracks, agg_period_artists, agg_period_albums. Each branch names its period, so that a query for
  one period drops the others. A week or a month joins the listener's plays by their time, which is indexed, or the
  plays of one entity, which are indexed too: the planner chooses by what is asked for. The times are columns, because
  under row security a function of a date could not be looked up in an index.
#}
{% macro agg_period(entity) -%}
    {%- set id = entity ~ '_id' -%}
    {%- set source_id = id_in_plays(entity) -%}
{%- for period in ['all', 'year'] %}
select
    user_id,
    '{{ period }}' as period,
    period_start,
    {{ id }},
    plays,
    counted_plays,
    ms_played,
    first_played_at,
    last_played_at
from {{ ref('agg_period_' ~ entity ~ 's_stored') }}
where period_start {{ '=' if period == 'all' else '<>' }} {{ beginning() }}
union all
{%- endfor %}
{%- for period, start in [('month', month_of('play.local_date')), ('week', week_of('play.local_date'))] %}
select
    span.user_id,
    '{{ period }}' as period,
    span.period_start,
    play.{{ source_id }} as {{ id }},
    {{ period_figures('play.') }}
from {{ ref('agg_period_user') }} as span
inner join {{ ref('fct_plays') }} as play
    on
        play.user_id = span.user_id
        and play.played_at >= span.first_played_at
        and play.played_at <= span.last_played_at
        and span.period_start = {{ start }}
where span.period = '{{ period }}' and play.kind = 'track' and play.{{ source_id }} is not null
group by span.user_id, span.period_start, play.{{ source_id }}
{{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}

{#
  The table. Built whole, one pass over the plays counts all years, and all time is their sum. A run counts the touched
  years of each touched entity, and adds them to the untouched ones, which are in the table. The period is not stored:
  only that of `all` begins in 1970.
#}
{% macro agg_period_stored(entity) -%}
    {%- set id = entity ~ '_id' -%}
    {%- set source_id = id_in_plays(entity) -%}
    {%- if is_incremental() -%}
with touched as materialized (
    select user_id, entity_id, year_start
    from {{ source('ops', 'touched_entities') }}
    where entity_kind = {{ entity_kind_number(entity) }}
),

spans as materialized (
    select
        user_id,
        year_start,
        {#- Plays have no index by album. #}
        {{ 'true' if entity == 'album' else 'count(*) > ' ~ var('most_lookups') }} as is_read_whole
    from touched
    group by user_id, year_start
),

years as materialized (
    select play.user_id, span.year_start, play.entity_id, {{ period_figures() }}
    from spans as span
    cross join lateral (
        select user_id, {{ source_id }} as entity_id, is_counted, ms_played, played_at
        from {{ ref('fct_plays') }}
        where user_id = span.user_id and {{ is_in_year('span.year_start') }} and kind = 'track'
        offset 0
    ) as play
    where
        span.is_read_whole
        -- `is true` keeps this one hash lookup; as a join, the planner would repeat it for each span.
        and ((play.user_id, play.entity_id, span.year_start) in (
            select user_id, entity_id, year_start from touched
        )) is true
    group by play.user_id, span.year_start, play.entity_id
    {%- if entity != 'album' %}
    union all
    select touched.user_id, touched.year_start, touched.entity_id, heard.*
    from spans as span
    inner join touched on touched.user_id = span.user_id and touched.year_start = span.year_start
    cross join lateral (
        select {{ period_figures() }}
        from {{ ref('fct_plays') }}
        where
            user_id = touched.user_id
            and {{ source_id }} = touched.entity_id
            and {{ is_in_year('touched.year_start') }}
            and kind = 'track'
        having count(*) > 0
        offset 0
    ) as heard
    where not span.is_read_whole
    {%- endif %}
),

standing as (
    select standing.*
    from (select distinct user_id, entity_id from touched) as entity
    cross join lateral (
        select
            user_id, period_start as year_start, {{ id }} as entity_id, plays, counted_plays, ms_played, first_played_at,
            last_played_at
        from {{ this }}
        where user_id = entity.user_id and {{ id }} = entity.entity_id and period_start <> {{ beginning() }}
        offset 0
    ) as standing
    where (standing.user_id, standing.entity_id, standing.year_start) not in (
        select user_id, entity_id, year_start from touched
    )
),
    {%- else -%}
with years as materialized (
    select user_id, year_start, entity_id, {{ period_figures() }}
    from (
        select
            user_id, {{ source_id }} as entity_id, {{ year_of('local_date') }} as year_start, is_counted, ms_played, played_at
        from {{ ref('fct_plays') }}
        where kind = 'track' and {{ source_id }} is not null
    ) as play
    group by user_id, year_start, entity_id
),
    {%- endif %}

every_year as (
    select * from years
    {%- if is_incremental() %}
    union all
    select * from standing
    {%- endif %}
)

select
    user_id,
    year_start as period_start,
    entity_id as {{ id }},
    plays,
    counted_plays,
    ms_played,
    first_played_at,
    last_played_at
from years
union all
select
    user_id,
    {{ beginning() }},
    entity_id,
    sum(plays)::int,
    sum(counted_plays)::int,
    sum(ms_played)::bigint,
    min(first_played_at),
    max(last_played_at)
from every_year
group by user_id, entity_id
{%- endmacro %}

{% macro id_in_plays(entity) -%}
    {{ return('content_id' if entity == 'track' else entity ~ '_id') }}
{%- endmacro %}

{% macro is_in_year(year_start) -%}
    played_at >= {{ surely_before(year_start) }}
    and played_at < {{ surely_after('(' ~ year_start ~ " + interval '1 year')::date") }}
    and local_date >= {{ year_start }}
    and local_date < ({{ year_start }} + interval '1 year')::date
{%- endmacro %}

{% macro period_figures(play='') -%}
    count(*)::int as plays,
    (count(*) filter (where {{ play }}is_counted))::int as counted_plays,
    coalesce(sum({{ play }}ms_played), 0)::bigint as ms_played,
    min({{ play }}played_at) as first_played_at,
    max({{ play }}played_at) as last_played_at
{%- endmacro %}

{# The slices of the three tables: every row in which any touched year of an entity counts. #}
{% macro touched_years_of(entity) -%}
    select distinct touched.user_id, touched.entity_id as {{ entity }}_id, period.period_start
    from {{ source('ops', 'touched_entities') }} as touched
    cross join lateral (values (touched.year_start), ({{ beginning() }})) as period (period_start)
    where touched.entity_kind = {{ entity_kind_number(entity) }}
{%- endmacro %}
