{#
  Replaces dbt's own view materialization, which drops the old view with everything that reads it: here a view stays
  until the run that rebuilds everything (any change of code is one), and is then replaced in place. With
  meta.security_invoker it shows its readers what the tables beneath show them: to the API, no more than one user's
  rows.
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
