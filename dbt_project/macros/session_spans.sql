{#
  A relation: the spans of time in which a run recomputes sessions, both ends included. Each stretch of the run's days
  widens to the old session of the last play before it and to that of the first play after it, whatever the silence
  between (a long play that is new may reach back over it); stretches that then meet become one.
  Plays outside the run's days have not changed, so that the mart's old sessions outside the spans still stand.
#}
{% macro touched_session_spans() -%}
(
    with regions as materialized (
        select
            user_id,
            min(day_start) as region_start,
            max(day_end) as region_end
        from (
            select *, utc_day - row_number() over (partition by user_id order by utc_day)::int as stretch
            from {{ run_days() }} as run_day
        ) as numbered
        group by user_id, stretch
    ),

    widened as materialized (
        -- `least` and `greatest` pass over nulls: no play before, no play after.
        select
            region.user_id,
            least(region.region_start, play_before.played_at, session_before.started_at) as span_start,
            greatest(region.region_end, play_after.played_at, session_after.ended_at) as span_end
        from regions as region
        left join lateral (
            select played_at
            from {{ ref('fct_plays') }}
            where user_id = region.user_id and played_at < region.region_start
            order by played_at desc
            limit 1
        ) as play_before on true
        left join lateral (
            select started_at
            from {{ this }}
            where user_id = region.user_id and ended_at >= play_before.played_at
            order by ended_at
            limit 1
        ) as session_before on true
        left join lateral (
            select played_at
            from {{ ref('fct_plays') }}
            where user_id = region.user_id and played_at >= region.region_end
            order by played_at
            limit 1
        ) as play_after on true
        left join lateral (
            select ended_at
            from {{ this }}
            where user_id = region.user_id and ended_at >= play_after.played_at
            order by ended_at
            limit 1
        ) as session_after on true
    )

    select
        user_id,
        min(span_start) as span_start,
        max(span_end) as span_end
    from (
        select *, count(*) filter (where span_start > reached) over (
            partition by user_id order by span_start, span_end
        ) as span
        from (
            select *, max(span_end) over (
                partition by user_id order by span_start, span_end rows between unbounded preceding and 1 preceding
            ) as reached
            from widened
        ) as reaching
    ) as numbered
    group by user_id, span
)
{%- endmacro %}
