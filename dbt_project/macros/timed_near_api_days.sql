{#
  A query over int_plays__timed as `timed`: in an incremental run the rows that polled plays of its days may be, which are
  those reported near them and those heard near them and reported at a later sync.
#}
{% macro timed_near_api_days() -%}
    {%- if not is_incremental() -%}
    select timed.* from {{ ref('int_plays__timed') }} as timed
    {%- else -%}
    -- Distinct: a row may be heard in one span and reported in the next.
    select distinct timed.*
    from {{ api_spans(margin_hours=3) }} as span
    cross join lateral (
        select * from {{ ref('int_plays__timed') }}
        where
            user_id = span.user_id
            and played_at >= span.span_start
            and played_at < span.span_end
            and {{ in_api_bounds(3, 3) }}
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
            and {{ in_api_bounds(3, 747) }}
        offset 0
    ) as timed
    {%- endif -%}
{%- endmacro %}
