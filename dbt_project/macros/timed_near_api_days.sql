{#
  A query over int_plays__timed as `timed`: in an incremental run, the rows that events of its days may also report:
  those reported near them, and those heard near them and reported at a later sync. `users`: a relation of the users in
  question.
#}
{% macro timed_near_api_days(margin_hours=3, users=none) -%}
    {%- if not is_incremental() -%}
    select timed.* from {{ ref('int_plays__timed') }} as timed
    {%- if users %}
    where timed.user_id in (select user_id from {{ users }})
    {%- endif %}
    {%- else -%}
    -- Distinct, because a row may be heard in one span and reported in the next.
    select distinct timed.*
    from {{ api_spans(margin_hours=margin_hours) }} as span
    cross join lateral (
        select * from {{ ref('int_plays__timed') }}
        where
            user_id = span.user_id
            and played_at >= span.span_start
            and played_at < span.span_end
            and {{ in_api_bounds(margin_hours, margin_hours) }}
        union all
        select * from {{ ref('int_plays__timed') }}
        where
            user_id = span.user_id
            and offline_at >= span.span_start
            and offline_at < span.span_end
            and offline
            and played_at - offline_at > {{ longest_pause() }}
            and played_at >= span.span_start
            and played_at < span.span_end + interval '744 hours'
            and {{ in_api_bounds(margin_hours, margin_hours + 744) }}
        offset 0
    ) as timed
    {%- if users %}
    where span.user_id in (select user_id from {{ users }})
    {%- endif %}
    {%- endif -%}
{%- endmacro %}
