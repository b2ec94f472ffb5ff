{#
  Post-hook: the unique index of a table that was just built becomes its primary key, by which BI tools know one row from
  another. It keeps the index' own name, since the table that it replaces still has its key at that moment. There are no
  foreign keys: the plays and half of what they lead to are views, which can have none, and each table that a rebuild
  swaps would have to wait for the readers of all that refer to it. Comments name the other side instead.
#}
{% macro declare_key() -%}
{%- if execute and is_live() -%}
do $key$
declare
    unique_index constant text := (
        select c.relname
        from pg_index as i
        inner join pg_class as c on c.oid = i.indexrelid
        where i.indrelid = '{{ this }}'::regclass and i.indisunique and i.indpred is null and i.indexprs is null
        order by c.relname
        limit 1
    );
begin
    if unique_index is not null and not exists (
        select from pg_constraint where conrelid = '{{ this }}'::regclass and contype = 'p'
    ) then
        execute format('alter table {{ this }} add primary key using index %I', unique_index);
    end if;
end $key$
{%- endif -%}
{%- endmacro %}
