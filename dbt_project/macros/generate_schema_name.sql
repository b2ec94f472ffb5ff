{# Schemas are called exactly staging, intermediate and marts; `myi verify` builds beside them with a suffix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}{{ var('schema_suffix') }}
{%- endmacro %}
