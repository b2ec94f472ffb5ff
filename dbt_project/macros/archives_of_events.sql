{#
  For a from clause: the archives that contain each of some archive events (user_id, played_at, event_id, batch_id).
  Several exports within one archive count as archives of their own.
#}
{% macro archives_of_events(events) -%}
    (
        select
            holder.user_id,
            holder.played_at,
            holder.event_id,
            holder.import_id,
            holder.export_no
        from {{ events }} as event
        inner join {{ ref('stg_raw__event_holders') }} as holder
            on
                holder.user_id = event.user_id
                and holder.played_at = event.played_at
                and holder.event_id = event.event_id
        union
        select
            event.user_id,
            event.played_at,
            event.event_id,
            event.batch_id,
            0
        from {{ events }} as event
        where not exists (
            select from {{ ref('stg_raw__event_holders') }} as holder
            where
                holder.user_id = event.user_id
                and holder.played_at = event.played_at
                and holder.event_id = event.event_id
                and holder.import_id = event.batch_id
        )
    )
{%- endmacro %}

{# The artist of a track, the show of an episode or the book of a chapter, in the form in which names are compared. #}
{% macro artist_or_show(content) -%}
    {{ comparable_name("case " ~ content ~ ".kind when 'track' then " ~ content ~ ".creator else " ~ content ~ ".collection end") }}
{%- endmacro %}

{# The same for one event, over its rows in event_holders: an array of numbers, one for each archive or export. #}
{% macro archives_of_event(event, holder) -%}
    coalesce(array_agg(({{ holder }}.import_id::bigint << 16) + {{ holder }}.export_no), '{}')
    || case
        when coalesce(bool_or({{ holder }}.import_id = {{ event }}.batch_id), false) then '{}'
        else array[{{ event }}.batch_id::bigint << 16]
    end
{%- endmacro %}
