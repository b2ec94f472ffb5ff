{#
  The mart run that this invocation belongs to. It comes from the environment and not from --vars: with other vars dbt
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

{# The targets `verify` and `dev` build beside the live marts: whole, and with no rights and no comments. #}
{% macro is_live() -%}
    {{ return(target.name == 'warehouse') }}
{%- endmacro %}

{# A developer's own build belongs to no mart run. #}
{% macro is_development() -%}
    {{ return(target.name not in ('warehouse', 'verify')) }}
{%- endmacro %}

{#
  Pre-hook of every model, in the transaction that writes it: a run that another has replaced writes nothing. The
  settings last as long as the transaction. Whatever the marts lose in a crash of the server, the closing that follows
  loses too, so they need not wait for the disk; compiling queries costs more than it brings at 190 partitions. A
  statement whose dbt was killed ends soon: the next run waits for it at the fence. The embedded server says how much
  memory a step may take on this machine; another one is taken to be larger.
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
    {{ return(is_development() or (env_var('MYI_MART_REBUILD', '0') == '1' and not survives)) }}
{%- endmacro %}
