-- depends_on: {{ ref('int_recordings__resolved') }}
-- depends_on: {{ ref('bridge_user_recordings') }}
{{ config(
    meta={'slices': 'touched_session_spans',
          'slice_condition': 'target.user_id = slice.user_id and target.ended_at between slice.span_start and slice.span_end',
          'order_by': 'user_id, ended_at'},
    indexes=[{'columns': ['user_id', 'ended_at', 'session_id'], 'unique': true}],
) }}
{%- set ids = ['track_id', 'recording_id'] %}

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

-- Of plays that end in the same second, the one that began first comes first: no figure depends on a play_id.
ordered as (
    select
        play.user_id,
        play.play_id,
        play.played_at,
        coalesce(play.started_at, play.played_at) as heard_from,
        play.local_date,
        play.is_counted,
        play.ms_played,
        play.kind,
        play.content_id as track_id,
        coalesce(decided.recording_id, resolved.recording_id, play.content_id) as recording_id,
        lag(play.played_at) over (
            partition by play.user_id order by play.played_at, coalesce(play.started_at, play.played_at), play.play_id
        ) as previous_at
    from plays as play
    left join {{ ref('int_recordings__resolved') }} as resolved on resolved.content_id = play.content_id
    left join {{ ref('bridge_user_recordings') }} as decided
        on decided.user_id = play.user_id and decided.track_id = play.content_id
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

-- Runs consist of counted plays only, of one track or of one recording. Two numbers packed into one let a maximum find
-- the track or recording of the last counted play here, and the longest run and its track below, all in one order;
-- grouping by run would sort every play again.
after_counted as (
    select
        *,
        max(counted_so_far - is_counted::int) filter (where opens_session) over in_order as counted_before_session,
        {%- for id in ids %}
        max(case when is_counted then counted_so_far << 32 | coalesce({{ id }}, 0) end) over (
            in_order rows between unbounded preceding and 1 preceding
        ) & 4294967295 as previous_{{ id }}{{ ',' if not loop.last }}
        {%- endfor %}
    from numbered
    window in_order as (partition by user_id order by played_at, heard_from, play_id)
),

in_runs as (
    select
        *,
        {%- for id in ids %}
        case when is_counted and kind = 'track' then
            (counted_so_far - max(counted_so_far - 1) filter (
                where is_counted
                and (counted_so_far - 1 = counted_before_session or {{ id }} is distinct from previous_{{ id }})
            ) over in_order) << 32 | {{ id }}
        end as run_and_{{ id }}{{ ',' if not loop.last }}
        {%- endfor %}
    from after_counted
    window in_order as (partition by user_id order by played_at, heard_from, play_id)
)

select
    user_id,
    (max(run_and_track_id) & 4294967295)::int as repeated_track_id,
    max(play_id) filter (where opens_session) as session_id,
    max(heard_from) filter (where opens_session) as started_at,
    max(played_at) as ended_at,
    max(local_date) filter (where opens_session) as local_date,
    count(*)::int as plays,
    (count(*) filter (where is_counted))::int as counted_plays,
    coalesce(max(run_and_track_id) >> 32, 0)::int as longest_repeat,
    coalesce(sum(ms_played), 0)::bigint as ms_played,
    (max(run_and_recording_id) & 4294967295)::int as repeated_recording_id,
    coalesce(max(run_and_recording_id) >> 32, 0)::int as longest_repeat_of_recording
from in_runs
group by user_id, session_no
