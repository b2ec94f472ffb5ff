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

{#
  Their rows of a relation. One user after the other: joined to all of it, the rows of everybody were read, of raw too, as
  soon as they were a tenth of what is there.
#}
{% macro last_touched_rows(relation) -%}
    (
        select of_one.*
        from {{ last_touched_users() }} as touched
        cross join lateral (
            select *
            from {{ relation }} as of_all
            where of_all.user_id = touched.user_id
            offset 0
        ) as of_one
    )
{%- endmacro %}
