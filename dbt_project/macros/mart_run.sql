{#
  The mart run that this invocation belongs to. It comes from the environment and not from --vars: with other vars, dbt
  parses the whole project again (3 s), and every run has another number.
#}
{% macro mart_run_id() -%}
    {%- if not execute -%}
        0
    {%- elif is_development() -%}
        1
    {%- else -%}
        {%- set given = env_var('MYI_MART_RUN_ID', '') -%}
        {%- if not given -%}
            {{ exceptions.raise_compiler_error('no mart run is open: build marts with `myi refresh`, or from Dagster') }}
        {%- endif -%}
        {{ given | int }}
    {%- endif -%}
{%- endmacro %}

{# The targets `verify` and `dev` build separately from the live marts: everything, without rights and comments. #}
{% macro is_live() -%}
    {{ return(target.name == 'warehouse') }}
{%- endmacro %}

{# A developer's own build belongs to no mart run. #}
{% macro is_development() -%}
    {{ return(target.name not in ('warehouse', 'verify')) }}
{%- endmacro %}

{#
  Pre-hook of every model, in the transaction that writes it: a run that another has replaced writes nothing. The
  settings last as long as the transaction. Commits need not wait for the disk: if the marts lose something in a server
  crash, the closing of the run, which comes later, is lost too. JIT compilation costs more than it saves with 190
  partitions. A statement whose dbt was killed ends soon, since the next run waits for it at the fence. The embedded
  server says how much memory a step may take on this machine; an external one is assumed to have more.
#}
{% macro check_fence() -%}
    {%- if execute -%}
        select
            {% if not is_development() %}ops.check_fence({{ mart_run_id() }}),{% endif %}
            set_config('synchronous_commit', 'off', true),
            set_config('jit', 'off', true),
            set_config('client_connection_check_interval', '2s', true),
            set_config('work_mem', coalesce(current_setting('myi.refresh_work_mem', true), '128MB'), true),
            set_config(
                'maintenance_work_mem',
                case
                    when current_setting('myi.refresh_work_mem', true) is null then '256MB'
                    else current_setting('maintenance_work_mem')
                end,
                true
            )
    {%- endif -%}
{%- endmacro %}

{#
  Post-hook: the planner needs this model's statistics for the models that follow, long before autovacuum runs. A newly
  built table has none, although creating its indexes has set reltuples.
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
  Replaces dbt's own macro: --full-refresh is ignored, because the keys of the rows that it drops would be lost to the
  models that build on them. The environment says whether a run rebuilds everything. A model with meta.survives_rebuild
  keeps its rows even then.
#}
{% macro should_full_refresh() -%}
    {%- set survives = config.get('meta', {}).get('survives_rebuild', false) -%}
    {{ return(is_development() or (env_var('MYI_MART_REBUILD', '0') == '1' and not survives)) }}
{%- endmacro %}
