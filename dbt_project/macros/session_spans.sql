{#
  A relation: the spans of time in which a run recomputes sessions, both ends included. Each stretch of the run's days
  is extended to the old session of the last play before it and to that of the first play after it, whatever the silence
  between them (a long new play may reach back over it); stretches that then meet become one.

  Plays outside the run's days have not changed, so the mart's old sessions outside the spans remain valid, except those
  of tracks that belong to another recording now: each of these is a span of its own.
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
        -- `least` and `greatest` ignore nulls: no play before, no play after.
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
        union
        {{ sessions_of_touched_recordings() }}
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

{#
  Old sessions in which any track of a touched recording was heard: every track that joined or left a recording is in
  one of the touched ones now, by the rules or by a decision (touch_periods.sql).
#}
{% macro sessions_of_touched_recordings() -%}
        select play.user_id, session.started_at, session.ended_at
        from (
            select touched.user_id, heard.played_at
            from {{ source('ops', 'touched_recordings') }} as touched
            cross join lateral (
                {{ tracks_of_recording('touched.user_id', 'touched.recording_id') }}
            ) as member
            cross join lateral (
                select played_at
                from {{ ref('fct_plays') }}
                where user_id = touched.user_id and content_id = member.track_id and {{ is_in_year('touched.period_start') }}
                offset 0
            ) as heard
            where touched.period_start <> {{ beginning() }}
        ) as play
        cross join lateral (
            select started_at, ended_at
            from {{ this }}
            where user_id = play.user_id and ended_at >= play.played_at
            order by ended_at
            limit 1
        ) as session
{%- endmacro %}
