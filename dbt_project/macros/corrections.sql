{# What people say about their own plays (app.corrections), applied to the resolution. #}

{#
  Whether anybody whose plays this run computes has a correction. Asked while the model is compiled: for most runs the
  answer is no, and corrections then cost nothing. Days of a later correction are in the ledger.
#}
{% macro any_corrections() -%}
    {%- if not execute -%} {{ return(true) }} {%- endif -%}
    {%- set found = run_query(
        "select exists (select from " ~ source('app', 'corrections') ~ " as c where c.undone_at is null"
        ~ (" and c.user_id in (select user_id from " ~ run_days() ~ " as run_day)" if is_incremental() else "")
        ~ ")"
    ) -%}
    {{ return(found.columns[0][0]) }}
{%- endmacro %}

{# A condition: whether a correction applies to a play. Criteria that it leaves open match everything. #}
{% macro describes(correction, play) -%}
    ({{ correction }}.from_at is null or {{ play }}.played_at >= {{ correction }}.from_at)
    and ({{ correction }}.until_at is null or {{ play }}.played_at < {{ correction }}.until_at)
    and ({{ correction }}.artist_id is null or {{ play }}.artist_id = {{ correction }}.artist_id)
    and ({{ correction }}.source_id is null or {{ play }}.source_id = {{ correction }}.source_id)
    and ({{ correction }}.kind is null or {{ play }}.kind = {{ correction }}.kind)
{%- endmacro %}

{#
  A relation: the rows of fct_plays_stored that their source reports on a day of the run, even if a correction moved them.
#}
{% macro rows_reported_in_run_days(target, columns='*') -%}
    (
        select * from {{ rows_of_run_days(target, columns ~ (', reported_at' if columns != '*' else '')) }} as in_place
        where reported_at is null
        union all
        select * from {{ rows_of_run_days(target, columns ~ (', reported_at' if columns != '*' else ''), time_column='reported_at') }}
            as moved
    )
{%- endmacro %}

{# Relations of (user_id, utc_day): the days on which plays moved by a correction were, or are. #}
{% macro days_of_moved_plays(rows) -%}
    select distinct user_id, (played_at at time zone 'UTC')::date as utc_day
    from {{ rows }} as moved_row
    where reported_at is not null
{%- endmacro %}
