{#
  No two rows agree in these columns (NULLs agree with each other). Where a valid unique index over just these columns
  stands, it has proved that already and nothing is read.
#}
{% test unique_combination(model, columns) %}
    select {{ columns | join(', ') }}, count(*) as row_count
    from {{ model }}
    where not exists (
        select
        from pg_index as index
        where
            index.indrelid = '{{ model }}'::regclass
            and index.indisunique
            and index.indisvalid
            and index.indpred is null
            and (
                select array_agg(attribute.attname::text order by attribute.attname::text)
                from pg_attribute as attribute
                where attribute.attrelid = index.indrelid and attribute.attnum = any(index.indkey)
            ) = (
                select array_agg(wanted order by wanted)
                from unnest(array['{{ columns | join("', '") }}']) as wanted
            )
    )
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
