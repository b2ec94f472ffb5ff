{{ config(
    meta={'slices': 'touched_session_spans',
          'slice_condition': 'target.user_id = slice.user_id and target.ended_at between slice.span_start and slice.span_end',
          'order_by': 'user_id, ended_at'},
    indexes=[
        {'columns': ['user_id', 'session_id'], 'unique': true},
        {'columns': ['user_id', 'ended_at']},
    ],
) }}

with plays as (
    {%- if is_incremental() %}
    select play.*
    from {{ touched_session_spans() }} as span
    cross join lateral (
        select *
        from {{ ref('fct_plays') }}
        where user_id = span.user_id and played_at between span.span_start and span.span_end
        offset 0
    ) as play
    {%- else %}
    select * from {{ ref('fct_plays') }}
    {%- endif %}
),

-- Among plays that end in the same second the one that began first comes first: no figure depends on a play_id.
ordered as (
    select
        user_id,
        play_id,
        played_at,
        coalesce(started_at, played_at) as heard_from,
        local_date, is_counted, ms_played, kind, content_id,
        lag(played_at) over (partition by user_id order by played_at, coalesce(started_at, played_at), play_id)
            as previous_at
    from plays
),

opened as (
    select
        *,
        previous_at is null
        or heard_from - previous_at > interval '{{ var("session_silence_minutes") }} minutes' as opens_session
    from ordered
),

numbered as (
    select
        *,
        count(*) filter (where opens_session) over in_order as session_no,
        count(*) filter (where is_counted) over in_order as counted_so_far
    from opened
    window in_order as (partition by user_id order by played_at, heard_from, play_id)
),

-- Runs are those of counted plays alone. Two numbers in one let a maximum find the last counted play's content here, and the
-- longest run and its track below: all in one order, where groups by run would sort every play again.
after_counted as (
    select
        *,
        max(counted_so_far - is_counted::int) filter (where opens_session) over in_order as counted_before_session,
        max(case when is_counted then counted_so_far << 32 | coalesce(content_id, 0) end) over (
            in_order rows between unbounded preceding and 1 preceding
        ) & 4294967295 as previous_content_id
    from numbered
    window in_order as (partition by user_id order by played_at, heard_from, play_id)
),

in_runs as (
    select
        *,
        case when is_counted and kind = 'track' then
            (counted_so_far - max(counted_so_far - 1) filter (
                where is_counted
                and (counted_so_far - 1 = counted_before_session or content_id is distinct from previous_content_id)
            ) over in_order) << 32 | content_id
        end as run_and_track
    from after_counted
    window in_order as (partition by user_id order by played_at, heard_from, play_id)
)

select
    user_id,
    (max(run_and_track) & 4294967295)::int as repeated_track_id,
    max(play_id) filter (where opens_session) as session_id,
    max(heard_from) filter (where opens_session) as started_at,
    max(played_at) as ended_at,
    max(local_date) filter (where opens_session) as local_date,
    count(*)::int as plays,
    (count(*) filter (where is_counted))::int as counted_plays,
    coalesce(max(run_and_track) >> 32, 0)::int as longest_repeat,
    coalesce(sum(ms_played), 0)::bigint as ms_played
from in_runs
group by user_id, session_no
