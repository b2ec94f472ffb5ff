{#
  No two rows are equal in these columns (NULLs are equal to each other). If a valid unique index covers exactly these
  columns, it has proved that already and nothing is read. A view has no index: `table` names the table whose rows it
  shows, and `table_columns` that table's key, if its columns have other names.
#}
{% test unique_combination(model, columns, table=none, table_columns=none) %}
    select {{ columns | join(', ') }}, count(*) as row_count
    from {{ model }}
    where not exists (
        select
        from pg_index as index
        where
            index.indrelid = '{{ table or model }}'::regclass
            and index.indisunique
            and index.indisvalid
            and index.indpred is null
            and (
                select array_agg(attribute.attname::text order by attribute.attname::text)
                from pg_attribute as attribute
                where attribute.attrelid = index.indrelid and attribute.attnum = any(index.indkey)
            ) = (
                select array_agg(wanted order by wanted)
                from unnest(array['{{ (table_columns or columns) | join("', '") }}']) as wanted
            )
    )
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
