{#
  The live schemas are called exactly staging, intermediate and marts. `myi verify` builds in
  staging_verify, intermediate_verify and marts_verify, and a developer's own commands in dev_staging, dev_intermediate
  and dev_marts.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set name = (custom_schema_name or 'marts') | trim -%}
    {%- if target.name == 'warehouse' -%} {{ name }}
    {%- elif target.name == 'verify' -%} {{ name }}_verify
    {%- else -%} {{ target.schema }}_{{ name }}
    {%- endif -%}
{%- endmacro %}
