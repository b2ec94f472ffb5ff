{#
  The incremental strategy `slices`: the slices of the run are deleted, and what the model selects is inserted, in the
  transaction that the fence check has opened. Slices that are now empty disappear.

  In config(meta={...}):
    slices           the name of a macro that selects the slices, or SQL; a macro can refer to sources, whose names are
                     not known yet when dbt reads the config
    slice_arguments  that macro's arguments
    slice_keys       columns that slices and target have in common, if a slice is a set of equal keys
    slice_condition  otherwise: a condition over `target` and `slice`; run_days and api_days need neither, since they take
                     the plays of those days
    order_by         order of insertion, so that a user's rows are stored together
    touches          true for fct_plays_stored: the keys of its old and new rows are added to ops.touched_*
    moves            true for fct_plays_stored: rows may be on another day than the one they are computed from
    marks            a macro of (target, fresh): days affected by this change, which the run must recompute too
    matches_again    true if the polled plays of those days must also be matched again
#}
{% macro get_incremental_slices_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set fresh = arg_dict['temp_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set settings = config.get('meta', {}) -%}
    {%- set is_by_key = settings.get('slice_condition') or settings.get('slice_keys') -%}

    {%- set rows_of_days = rows_reported_in_run_days if settings.get('moves') else rows_of_run_days -%}

    {%- if settings.get('touches') %}
        {{ collect_touched(rows_of_days(target), fresh) }}
        select ops.analyze_touched();
    {%- endif %}

    {%- if settings.get('moves') %}
        create temporary table moved_days on commit drop as (
            {{ days_of_moved_plays(rows_of_days(target)) }}
            union
            {{ days_of_moved_plays(fresh) }}
        );
    {%- endif %}

    {%- if settings.get('marks') %}
        {{ mark_days(context[settings['marks']](target, fresh), settings.get('matches_again', false)) }}
    {%- endif %}

    {% if settings['slices'] in ('run_days', 'api_days') and not is_by_key %}
    {%- set gone = rows_of_days(target, 'ctid') if settings['slices'] == 'run_days' else rows_of_api_days(target, 'ctid') %}
    delete from {{ target }}
    where ctid = any(array(select ctid from {{ gone }} as gone));
    {% else %}
    delete from {{ target }} as target
    using {{ slice_relation(settings) }} as slice
    where {{ slice_condition(settings) }};
    {% endif %}

    insert into {{ target }} ({{ columns }})
    select {{ columns }}
    from {{ fresh }}
    {%- if settings.get('order_by') %}
    order by {{ settings['order_by'] }}
    {%- endif %};

    {#- Last, since the statements above delete rows of the run's days, and the days marked here were not computed. -#}
    {%- if settings.get('moves') %}
        {{ mark_days('select user_id, utc_day from moved_days', false) }}
    {%- endif %}
{% endmacro %}

{% macro slice_relation(settings) -%}
    {%- set slices = settings['slices'] -%}
    {%- if slices in context -%} ({{ context[slices](*settings.get('slice_arguments', [])) }})
    {%- else -%} ({{ slices }})
    {%- endif -%}
{%- endmacro %}

{% macro slice_condition(settings) -%}
    {%- if settings.get('slice_condition') -%}
        {{ settings['slice_condition'] }}
    {%- elif settings.get('slice_keys') -%}
        {%- for key in settings['slice_keys'] -%}
            target.{{ key }} = slice.{{ key }} {%- if not loop.last %} and {% endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error('the strategy slices needs meta.slice_keys or meta.slice_condition') }}
    {%- endif -%}
{%- endmacro %}

{#
  The keys of removed and added plays, for the models that are recomputed by key. They belong to no run: a run after a
  crash inherits them.
#}
{% macro collect_touched(old_rows, new_rows) %}
    -- Every date on which an hour of the play is counted.
    insert into {{ source('ops', 'touched_dates') }} (user_id, local_date)
    select distinct play.user_id, play.local_date - days_before.days as local_date
    from (
        select user_id, local_date, {{ first_counted_date(stored=true) }} as first_date from {{ old_rows }} as old_row
        union
        select user_id, local_date, {{ first_counted_date(stored=true) }} from {{ new_rows }}
    ) as play
    cross join lateral generate_series(0, play.local_date - play.first_date) as days_before (days)
    order by 1, 2
    on conflict do nothing;

    insert into {{ source('ops', 'touched_entities') }} (user_id, entity_kind, entity_id, year_start)
    select distinct play.user_id, entity.entity_kind, entity.entity_id, play.year_start
    from (
        select user_id, {{ year_of('local_date') }} as year_start, kind, content_id, artist_id, album_id
        from {{ old_rows }} as old_row
        union
        select user_id, {{ year_of('local_date') }}, kind, content_id, artist_id, album_id from {{ new_rows }}
    ) as play
    cross join lateral (
        values
        (1::smallint, case when play.kind = 'track' then play.content_id end),
        (2::smallint, play.artist_id),
        (3::smallint, play.album_id)
    ) as entity (entity_kind, entity_id)
    where entity.entity_id is not null
    order by play.user_id, entity.entity_kind, entity.entity_id, play.year_start
    on conflict do nothing;
{% endmacro %}
