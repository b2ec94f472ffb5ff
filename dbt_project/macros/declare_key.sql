{#
  Post-hook: the unique index of a newly built table becomes its primary key, by which BI tools tell rows apart. It
  keeps the index's name, since at that moment the table being replaced still has its key. There are no foreign keys:
  the plays and half of the tables they refer to are views, which cannot have any, and each table that a rebuild swaps
  would have to wait for the readers of all tables that refer to it. Comments name the other side instead.
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
