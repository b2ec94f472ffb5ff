{#
  What rules ask of sources: traits of raw.sources, never numbers.
#}

{#
  `in (...)`: the numbers of the sources with a trait. As literals, because the planner cannot guess how many events a
  subquery lets through. A source comes with a new version, and a new version builds everything again.
#}
{% macro sources_that(trait) -%}
    {%- if execute -%}
        {%- set found = run_query('select source_id from raw.sources where ' ~ trait ~ ' order by source_id') -%}
    in (-1{% for source_id in found.columns[0].values() %}, {{ source_id }}{% endfor %})
    {%- else -%}
    in (-1)
    {%- endif -%}
{%- endmacro %}

{# Who pushed an event: players push to one endpoint, and each is a source of its own. #}
{% macro origin(source, context) -%}
    case when {{ source }}.arrives = 'pushed' then coalesce({{ context }}.platform, '') else '' end
{%- endmacro %}
