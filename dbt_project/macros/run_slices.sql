{# What this run recomputes; each is a subquery for a from clause. Only for incremental runs. #}

{% macro run_days() -%}
    (
        select
            user_id,
            utc_day,
            utc_day::timestamp at time zone 'UTC' as day_start,
            (utc_day + 1)::timestamp at time zone 'UTC' as day_end
        from {{ source('ops', 'mart_run_days') }}
        where run_id = {{ mart_run_id() }}
    )
{%- endmacro %}

{% macro run_contents() -%}
    (select content_id from {{ source('ops', 'mart_run_contents') }} where run_id = {{ mart_run_id() }})
{%- endmacro %}

{# Tracks of which anything is said anew: names, length, genres, first release. #}
{% macro run_tracks() -%}
    (
        select content_id as track_id from {{ source('ops', 'mart_run_contents') }} where run_id = {{ mart_run_id() }}
        union
        select content_id from {{ source('ops', 'mart_run_facts') }} where run_id = {{ mart_run_id() }}
    )
{%- endmacro %}

{# The same, for a model that is empty while no genre is known: see needed_models. #}
{% macro run_tracks_with_genres() -%}
    {{ return(run_tracks()) }}
{%- endmacro %}

{% macro run_users() -%}
    (select user_id from {{ source('ops', 'mart_run_users') }} where run_id = {{ mart_run_id() }})
{%- endmacro %}

{# For a from clause: a relation with user_id, in an incremental run only the rows of the run's users. #}
{% macro of_run_users(relation) -%}
    {%- if is_incremental() -%}
    (
        select found.*
        from {{ relation }} as found
        inner join {{ run_users() }} as run_user on run_user.user_id = found.user_id
    )
    {%- else -%} {{ relation }}
    {%- endif -%}
{%- endmacro %}

{# The run's days as spans of days in a row: a whole history is one span or a few, and is read as such. #}
{% macro run_spans() -%}
    (
        select
            user_id,
            min(day_start) as span_start,
            max(day_end) as span_end
        from (
            select *, utc_day - row_number() over (partition by user_id order by utc_day)::int as stretch
            from {{ run_days() }} as run_day
        ) as numbered
        group by user_id, stretch
    )
{%- endmacro %}

{#
  For a from clause: a relation with user_id and played_at (or another column of that meaning), in an incremental run
  only its rows in the days of the run.
#}
{% macro in_run_days(relation, time_column='played_at') -%}
    {%- if is_incremental() -%} {{ rows_of_run_days(relation, time_column=time_column) }}
    {%- else -%} {{ relation }}
    {%- endif -%}
{%- endmacro %}

{#
  Lateral with offset 0: each span is read by the index (user_id, played_at), whatever the planner believes. A join
  became a hash join on the user alone, with each play against each day: 10 minutes for a million plays of 20 users.
  The literal bounds let it leave out partitions before it plans the rest.
#}
{% macro rows_of_run_days(relation, columns='*', time_column='played_at') -%}
    {%- set bounds = run_day_bounds() -%}
    (
        select found.*
        from {{ run_spans() }} as span
        cross join lateral (
            select {{ columns }}
            from {{ relation }}
            where
                user_id = span.user_id
                and {{ time_column }} >= span.span_start
                and {{ time_column }} < span.span_end
                and {{ time_column }} >= '{{ bounds[0] }}'
                and {{ time_column }} < '{{ bounds[1] }}'
            offset 0
        ) as found
    )
{%- endmacro %}

{% macro run_day_bounds() -%}
    {%- set found = run_query(
        "select coalesce(min(utc_day), 'epoch')::text || ' 00:00:00+00', "
        ~ "coalesce(max(utc_day) + 1, 'epoch')::text || ' 00:00:00+00' "
        ~ "from " ~ source('ops', 'mart_run_days') ~ " where run_id = " ~ mart_run_id()
    ) -%}
    {{ return((found.columns[0][0], found.columns[1][0])) }}
{%- endmacro %}
