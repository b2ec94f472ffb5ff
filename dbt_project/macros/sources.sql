{# What rules ask about sources: traits in raw.sources, never ids. #}

{#
  `in (...)`: the ids of the sources with a trait. As literals, because the planner cannot estimate how many events
  match a subquery. A new source comes with a new version, and a new version rebuilds everything.
#}
{% macro sources_that(trait) -%}
    {%- if execute -%}
        {%- set found = run_query('select source_id from raw.sources where ' ~ trait ~ ' order by source_id') -%}
    in (-1{% for source_id in found.columns[0].values() %}, {{ source_id }}{% endfor %})
    {%- else -%}
    in (-1)
    {%- endif -%}
{%- endmacro %}

{# Who pushed an event: players share one endpoint, and each counts as a source of its own. #}
{% macro origin(source, context) -%}
    case when {{ source }}.arrives = 'pushed' then coalesce({{ context }}.platform, '') else '' end
{%- endmacro %}
