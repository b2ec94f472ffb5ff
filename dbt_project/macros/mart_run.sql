{#
  The mart run that this invocation belongs to. It comes by environment and not by --vars: other vars make dbt parse
  the whole project again (3 s), and every run has another number.
#}
{% macro mart_run_id() -%}
    {%- if not execute -%}
        0
    {%- else -%}
        {%- set given = env_var('MYI_MART_RUN_ID', '') -%}
        {%- if not given -%}
            {{ exceptions.raise_compiler_error('no mart run is open: build marts with `myi refresh`, or from Dagster') }}
        {%- endif -%}
        {{ given | int }}
    {%- endif -%}
{%- endmacro %}

{# Built beside the live marts, for comparison: no fence, no rights, no ledger. #}
{% macro is_verify_build() -%}
    {{ return(var('schema_suffix') != '') }}
{%- endmacro %}

{#
  Pre-hook of every model, in the transaction that writes it: a run that another has replaced writes nothing. The
  settings last as long as the transaction. Whatever the marts lose in a crash of the server, the closing that follows
  loses too, so they need not wait for the disk; compiling queries costs more than it brings at 190 partitions.
#}
{% macro check_fence() -%}
    {%- if execute -%}
        select
            ops.check_fence({{ mart_run_id() }}),
            set_config('synchronous_commit', 'off', true),
            set_config('jit', 'off', true),
            set_config('work_mem', '128MB', true),
            set_config('maintenance_work_mem', '256MB', true)
    {%- endif -%}
{%- endmacro %}

{#
  Post-hook: models further down are planned by this one's statistics, long before autovacuum comes along. A table that
  was just built has none, though creating its indexes has filled in reltuples.
#}
{% macro keep_statistics() -%}
    {%- if execute -%}
do $statistics$
begin
    if exists (
        select from pg_class
        where
            oid = '{{ this }}'::regclass
            and relkind = 'r'
            and (
                not exists (select from pg_stats where schemaname = '{{ this.schema }}' and tablename = '{{ this.name }}')
                or pg_relation_size(oid) > 1.2 * 8192 * relpages + 1000000
            )
    ) then
        analyze {{ this }};
    end if;
end $statistics$
    {%- endif -%}
{%- endmacro %}

{#
  Instead of dbt's own: --full-refresh is not ours to obey, because the keys of the rows that it drops would be lost to
  the models that build on them. A run that rebuilds everything says so by environment.
  A model with meta.survives_rebuild keeps its rows even then.
#}
{% macro should_full_refresh() -%}
    {%- set survives = config.get('meta', {}).get('survives_rebuild', false) -%}
    {{ return(env_var('MYI_MART_REBUILD', '0') == '1' and not survives) }}
{%- endmacro %}
