{#
  The days whose polled plays and scrobbles a run matches again (ops.mart_run_api_days); see run_slices for the days
  that it recomputes.
#}

{# A relation: those days as spans that do not overlap, each extended by `margin_hours` at both ends. #}
{% macro api_spans(margin_hours=0) -%}
    (
        select
            user_id,
            min(utc_day)::timestamp at time zone 'UTC' - interval '{{ margin_hours }} hours' as span_start,
            (max(utc_day) + 1)::timestamp at time zone 'UTC' + interval '{{ margin_hours }} hours' as span_end
        from (
            select user_id, utc_day, count(*) filter (where opens) over (partition by user_id order by utc_day) as span
            from (
                select
                    user_id,
                    utc_day,
                    utc_day - lag(utc_day) over (partition by user_id order by utc_day)
                    > 1 + {{ margin_hours }} / 12.0 as opens
                from {{ source('ops', 'mart_run_api_days') }}
                where run_id = {{ mart_run_id() }}
            ) as stepped
        ) as numbered
        group by user_id, span
    )
{%- endmacro %}

{#
  For a from clause: a relation with user_id and played_at; in an incremental run, only its rows near those days.
  `users`: a relation of the users in question.
#}
{% macro in_api_days(relation, margin_hours=0, users=none) -%}
    {%- if is_incremental() -%} {{ rows_of_api_days(relation, margin_hours=margin_hours, users=users) }}
    {%- elif users -%} (select * from {{ relation }} as found where found.user_id in (select user_id from {{ users }}))
    {%- else -%} {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro rows_of_api_days(relation, columns='*', margin_hours=0, users=none) -%}
    (
        select found.*
        from {{ api_spans(margin_hours) }} as span
        cross join lateral (
            select {{ columns }}
            from {{ relation }}
            where
                user_id = span.user_id
                and played_at >= span.span_start
                and played_at < span.span_end
                and {{ in_api_bounds(margin_hours, margin_hours) }}
            offset 0
        ) as found
        {%- if users %}
        where span.user_id in (select user_id from {{ users }})
        {%- endif %}
    )
{%- endmacro %}

{#
  A condition: played_at is within the span of all those days, extended by so many hours. It is redundant, but in
  literals: without it, even a run without any such day is planned for every partition.
#}
{% macro in_api_bounds(hours_before, hours_after) -%}
    {%- set found = run_query(
        "select (coalesce(min(utc_day), 'epoch')::timestamp at time zone 'UTC' - interval '" ~ hours_before ~ " hours')::text, "
        ~ "((coalesce(max(utc_day), 'epoch') + 1)::timestamp at time zone 'UTC' + interval '" ~ hours_after ~ " hours')::text "
        ~ "from " ~ source('ops', 'mart_run_api_days') ~ " where run_id = " ~ mart_run_id()
    ) -%}
    played_at >= '{{ found.columns[0][0] }}' and played_at < '{{ found.columns[1][0] }}'
{%- endmacro %}

{# The slices of models by (user_id, utc_day), and of those by user. #}
{% macro api_days() -%}
    (select user_id, utc_day from {{ source('ops', 'mart_run_api_days') }} where run_id = {{ mart_run_id() }})
{%- endmacro %}

{% macro api_users() -%}
    (select distinct user_id from {{ source('ops', 'mart_run_api_days') }} where run_id = {{ mart_run_id() }})
{%- endmacro %}

{#
  A statement of the strategy: days on which a deleted row differs from its replacement are added to the ledger and to
  this run; with `match_again`, the models that follow match their polled plays again.
#}
{% macro mark_days(days, match_again) %}
    select ops.mark_run_day({{ mart_run_id() }}, user_id, utc_day, {{ match_again }})
    from (select distinct user_id, utc_day from ({{ days }}) as touched) as touched;
{% endmacro %}
