{#
  Relations for data tests, which run after a mart run has closed, while imports may go on. They bound what a test
  reads: what has not changed since was tested before.
#}

{# The users of whom the last mart run may have changed any row. #}
{% macro last_touched_users() -%}
    (
        select user_id
        from {{ ref('user_versions') }}
        where version = (select max(version) from {{ ref('user_versions') }})
    )
{%- endmacro %}
