{# What this run recomputes, as subqueries for a from clause. Only for incremental runs. #}

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

{# Tracks whose names, length, genres or first release have changed. #}
{% macro run_tracks() -%}
    (
        select content_id as track_id from {{ source('ops', 'mart_run_contents') }} where run_id = {{ mart_run_id() }}
        union
        select content_id from {{ source('ops', 'mart_run_facts') }} where run_id = {{ mart_run_id() }}
    )
{%- endmacro %}

{# The same, for a model that is empty as long as no genre is known: see needed_models. #}
{% macro run_tracks_with_genres() -%}
    {{ return(run_tracks()) }}
{%- endmacro %}

{% macro run_playlists() -%}
    (select playlist_id, user_id from {{ source('ops', 'mart_run_playlists') }} where run_id = {{ mart_run_id() }})
{%- endmacro %}

{#
  A playlist's version never changes, but the ids of its contents may. For the run's playlists: the versions that are
  not in the target yet, those that contain a content of the run, and those that are no longer in raw.
#}
{% macro run_playlist_versions() -%}
    (
        select version.playlist_id, version.version_no
        from {{ run_playlists() }} as run_playlist
        inner join {{ source('raw', 'playlist_versions') }} as version on version.playlist_id = run_playlist.playlist_id
        where
            not exists (
                select from {{ this }} as known
                where known.playlist_id = version.playlist_id and known.version_no = version.version_no
            )
        union
        select known.playlist_id, known.version_no
        from {{ run_playlists() }} as run_playlist
        inner join {{ this }} as known on known.playlist_id = run_playlist.playlist_id
        where
            known.content_id in (select content_id from {{ run_contents() }} as run_content)
            or not exists (
                select from {{ source('raw', 'playlist_versions') }} as version
                where version.playlist_id = known.playlist_id and version.version_no = known.version_no
            )
    )
{%- endmacro %}

{% macro run_users() -%}
    (select user_id from {{ source('ops', 'mart_run_users') }} where run_id = {{ mart_run_id() }})
{%- endmacro %}

{# For a from clause: a relation with user_id; in an incremental run, only the rows of the run's users. #}
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

{# The run's days, with consecutive days as one span: a whole history is a few spans at most, and is read as such. #}
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
  For a from clause: a relation with user_id and played_at (or another column with that meaning); in an incremental run,
  only its rows on the run's days.
#}
{% macro in_run_days(relation, time_column='played_at') -%}
    {%- if is_incremental() -%} {{ rows_of_run_days(relation, time_column=time_column) }}
    {%- else -%} {{ relation }}
    {%- endif -%}
{%- endmacro %}

{#
  Lateral with offset 0: each span is read through the index (user_id, played_at), whatever the planner estimates. A
  join became a hash join on the user alone, comparing each play with each day: 10 minutes for a million plays of 20
  users. The literal bounds allow partitions to be pruned before the rest is planned.
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

{#
  A pre-hook: hash joins for many days and for a rebuild. What is read for a run's days has no statistics, and the
  planner expects a row or two: fct_plays_stored compared a month of four listeners in nested loops for 36 s instead of
  0.3. For a few days, nested loops by index are right: hash joins would read all contents.
#}
{% macro hash_joins_of_many_days(days='mart_run_days') -%}
    {%- if not is_incremental() -%}
    select set_config('enable_nestloop', 'off', true)
    {%- else -%}
    select set_config(
        'enable_nestloop',
        case
            when exists (
                select from {{ source('ops', days) }} where run_id = {{ mart_run_id() }} offset 30
            ) then 'off'
            else 'on'
        end,
        true
    )
    {%- endif -%}
{%- endmacro %}
