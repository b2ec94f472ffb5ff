{#
  The descriptions of a model and its columns in the YAML files, as comments in the database, where psql and BI tools
  show them. dbt's own macro writes all of them in every run; here one query finds those that differ, usually none. They
  are written in the model's own transaction, so no reader sees a mart without them.
#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if execute and config.persist_column_docs() and is_live() -%}
    {%- set wanted = {} -%}
    {%- for name, column in model.columns.items() -%}
        {%- do wanted.update({name: column.description | trim}) -%}
    {%- endfor -%}
    {%- call statement('comments') -%}
do $comments$
declare
    mart constant regclass := '{{ relation }}';
    is_view constant boolean := (select relkind = 'v' from pg_class where oid = mart);
    said constant text := $said${{ model.description | trim }}$said$;
    wanted constant jsonb := $said${{ tojson(wanted) }}$said$;
    found record;
begin
    if obj_description(mart, 'pg_class') is distinct from said then
        execute format('comment on %s %s is %L', case when is_view then 'view' else 'table' end, mart, said);
    end if;
    for found in
        select attname, wanted ->> attname as said
        from pg_attribute
        where
            attrelid = mart
            and attnum > 0
            and not attisdropped
            and wanted ->> attname is distinct from col_description(attrelid, attnum)
    loop
        execute format('comment on column %s.%I is %L', mart, found.attname, found.said);
    end loop;
end $comments$
    {%- endcall -%}
    {%- endif -%}
{%- endmacro %}
