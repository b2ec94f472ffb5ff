{#
  Relations for data tests, which run after a mart run has closed, while imports may go on. They limit what a test
  reads: whatever the last run did not change was tested before.
#}

{# The users whose rows the last mart run may have changed. #}
{% macro last_touched_users() -%}
    (
        select user_id
        from {{ ref('user_versions') }}
        where version = (select max(version) from {{ ref('user_versions') }})
    )
{%- endmacro %}
