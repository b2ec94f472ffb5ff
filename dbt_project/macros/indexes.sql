{# Indexes that dbt's own `indexes` cannot describe. #}

{#
  By time or day a listener's rows are added at the end, and of periods only this year and all of time change. The pages of
  such an index are filled, without the tenth that is else left free for rows in between.
#}
{% macro postgres__get_create_index_sql(relation, index_dict) -%}
    {%- set times = ['played_at', 'ended_at', 'local_date', 'period_start', 'year_start'] -%}
    {{ dbt.postgres__get_create_index_sql(relation, index_dict) }}
    {%- if index_dict.columns[0] == 'user_id' and index_dict.columns[1] in times %} with (fillfactor = 100) {%- endif -%}
{%- endmacro %}

{#
  Post-hook: an index of the rows that a condition names. `columns` is what stands behind the table's name, `printed` a
  part of the condition as Postgres prints it, by which an index that is there already is recognised.
#}
{% macro index_of_some(columns, where, printed) -%}
    {%- if execute -%}
do $some$
begin
    if not exists (
        select from pg_index
        where indrelid = '{{ this }}'::regclass and pg_get_expr(indpred, indrelid) like '%{{ printed }}%'
    ) then
        create index on {{ this }} {{ columns }} where {{ where }};
    end if;
end $some$
    {%- endif -%}
{%- endmacro %}

{# Post-hook of fct_plays_stored: the few moved rows are found by the time that their source reports. #}
{% macro index_moved_plays() -%}
    {{ index_of_some('(user_id, reported_at)', 'reported_at is not null', printed='reported_at IS NOT NULL') }}
{%- endmacro %}

{#
  Post-hook of fct_plays_stored: plays of shows are one in a hundred, lie everywhere, and are added up by episode for
  whatever days are asked. It holds all that this takes, so that no row of the table is read (`reads/sql/top_shows.sql`).
#}
{% macro index_plays_of_shows() -%}
    {{ index_of_some(
        '(user_id, played_at) include (kind, local_date, content_id, ms_played, flags) with (fillfactor = 100)',
        "kind in ('episode', 'chapter') and is_hidden is null",
        printed='episode',
    ) }}
{%- endmacro %}
