{#
  Instead of dbt's own view, which drops the old one with everything that reads it: a view stands until the run that
  rebuilds everything (any change of code is one), and is then replaced where it is. With meta.security_invoker it shows
  whoever reads it what the tables beneath show them: no more than one user's rows, to the API.
#}
{% materialization view, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set options = ' with (security_invoker = true)' if config.get('meta', {}).get('security_invoker') else '' -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if existing is not none and existing.is_view and not should_full_refresh() -%}
        {%- call noop_statement('main', 'STANDS') -%}{%- endcall -%}
    {%- else -%}
        {%- if existing is not none and not existing.is_view -%}
            {% do adapter.drop_relation(existing) %}
        {%- endif -%}
        {%- call statement('main') -%}
            {%- if config.get('contract').enforced -%}
                {{ get_assert_columns_equivalent(sql) }}
            {%- endif %}
            do $replace$
            begin
                create or replace view {{ target_relation }}{{ options }} as (
                    {{ sql }}
                );
            exception when invalid_table_definition then
                drop view {{ target_relation }} cascade;
                create view {{ target_relation }}{{ options }} as (
                    {{ sql }}
                );
            end $replace$
        {%- endcall -%}
    {%- endif -%}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
