{#
  A run that computes some slices of an existing table: one statement between the hooks, where dbt's own materialization
  repeatedly asks for columns and types, a third of the time of a small refresh. The last rebuild has checked them, and
  every change of code is a rebuild. Rebuilds, and tables that do not exist yet, are left to dbt.
#}
{% materialization incremental, adapter='postgres' %}
    {%- if not is_incremental() -%}
        {{ return(materialization_incremental_default()) }}
    {%- endif -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set fresh = make_temp_relation(target_relation) -%}
    {%- set columns = [] -%}
    {%- for name in model.columns -%}
        {%- do columns.append({'quoted': adapter.quote(name)}) -%}
    {%- endfor -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main') %}
        create temporary table {{ fresh }} on commit drop as (
            {{ sql }}
        );
        {{ get_incremental_slices_sql({'target_relation': target_relation, 'temp_relation': fresh, 'dest_columns': columns}) }}
    {%- endcall -%}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
