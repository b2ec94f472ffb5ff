{#
  When a rebuild swaps a table, the views that read it are moved to the new one first. Otherwise dbt would drop them
  with the old table, and they would not exist until their own models ran. Views are locked before the table, as readers
  do. A view that does not fit the new table is dropped with the old one, and its model creates it again.

  The swap needs an exclusive lock on both for a moment. A reader with an open transaction would make it wait, and
  everybody else would wait behind it: so it waits a quarter of a second at a time, and lets others pass in between.

  One swap at a time: a view may read two tables that are swapped at once. pg_get_viewdef, which waits for the other
  swap, would then give that one's old table its new name, and the view would be dropped with it.
#}
{% macro postgres__rename_relation(from_relation, to_relation) %}
    {%- set swapped = make_intermediate_relation(from_relation) -%}
    {%- if to_relation.identifier == make_backup_relation(from_relation, 'table').identifier %}
        {%- call statement('move_views') %}
do $views$
declare
    found record;
    patience_before text := current_setting('lock_timeout');
    give_up_at timestamptz := clock_timestamp() + interval '{{ var('longest_swap_s') }} seconds';
begin
    perform pg_advisory_xact_lock(hashtext('myi.swap_tables'));
    loop
        begin
            perform set_config('lock_timeout', '250ms', true);
            for found in
                select
                    view.oid::regclass as name,
                    case when view.reloptions @> '{security_invoker=true}' then 'with (security_invoker = true)' end
                        as options,
                    regexp_replace(
                        pg_get_viewdef(view.oid), '\m{{ from_relation.identifier }}\M', '{{ swapped.identifier }}', 'g'
                    ) as query
                from pg_class as view
                where
                    view.relkind = 'v'
                    and view.oid in (
                        select rule.ev_class
                        from pg_depend as link
                        inner join pg_rewrite as rule on rule.oid = link.objid
                        where
                            link.classid = 'pg_rewrite'::regclass
                            and link.refclassid = 'pg_class'::regclass
                            and link.refobjid = '{{ from_relation }}'::regclass
                    )
                order by view.oid
            loop
                begin
                    execute format('create or replace view %s %s as %s', found.name, found.options, found.query);
                exception when invalid_table_definition or undefined_column or datatype_mismatch then
                    raise notice '% will be made anew', found.name;
                    -- dbt drops it with the old table.
                    execute format('drop view %s cascade', found.name);
                end;
            end loop;
            execute 'lock table {{ from_relation }} in access exclusive mode';
            exit;
        exception when lock_not_available then
            if clock_timestamp() > give_up_at then
                raise exception '{{ from_relation.schema }}.{{ from_relation.identifier }} cannot be replaced: somebody'
                    ' has been reading it for more than {{ var('longest_swap_s') }} s (process %)',
                    (
                        select string_agg(pid::text, ', ')
                        from pg_locks
                        where relation = '{{ from_relation }}'::regclass and granted and pid <> pg_backend_pid()
                    );
            end if;
        end;
        perform pg_sleep(1);
    end loop;
    perform set_config('lock_timeout', patience_before, true);
end $views$
        {%- endcall %}
    {%- endif %}
    {{ return(default__rename_relation(from_relation, to_relation)) }}
{% endmacro %}
