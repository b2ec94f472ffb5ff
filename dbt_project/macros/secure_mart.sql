{#
  Post-hook of every mart, in the transaction that creates it, so that no reader ever sees it unprotected: who may read
  it and, for a mart with user_id, which rows. A table that dbt swaps loses both; whatever is already in place is left
  alone, because changing it waits for every reader.
#}
{% macro secure_mart() -%}
{%- if execute and is_live() -%}
{%- set api = adapter.quote(env_var('MYI_DBT_API_ROLE')) -%}
{%- set analyst = adapter.quote(env_var('MYI_DBT_ANALYST_ROLE')) -%}
do $secure$
begin
    if not has_table_privilege('{{ env_var('MYI_DBT_API_ROLE') }}', '{{ this }}', 'select')
        or not has_table_privilege('{{ env_var('MYI_DBT_ANALYST_ROLE') }}', '{{ this }}', 'select')
    then
        grant select on {{ this }} to {{ api }}, {{ analyst }};
    end if;
    if not exists (
        select from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attname = 'user_id'
        where c.oid = '{{ this }}'::regclass and c.relkind = 'r'
    ) then
        return;
    end if;
    if not exists (select from pg_policy where polrelid = '{{ this }}'::regclass and polname = 'one_user') then
        create policy one_user on {{ this }} for select to {{ api }}
        using (user_id = nullif(current_setting('app.user_id', true), '')::int);
    end if;
    if not exists (select from pg_policy where polrelid = '{{ this }}'::regclass and polname = 'every_user') then
        create policy every_user on {{ this }} for select to {{ analyst }} using (true);
    end if;
    if not exists (select from pg_class where oid = '{{ this }}'::regclass and relrowsecurity) then
        alter table {{ this }} enable row level security;
    end if;
end $secure$
{%- endif -%}
{%- endmacro %}
