-- Years and all time are stored; weeks and months are summed from those of tracks, which are counted from plays.
{{ config(materialized='view', meta={'security_invoker': true}) }}

{%- for period in ['all', 'year'] %}
select
    user_id,
    '{{ period }}' as period,
    period_start,
    recording_id,
    plays,
    counted_plays,
    ms_played,
    first_played_at,
    last_played_at
from {{ ref('agg_period_recordings_stored') }}
where period_start {{ '=' if period == 'all' else '<>' }} {{ beginning() }}
union all
{%- endfor %}
select
    heard.user_id,
    heard.period,
    heard.period_start,
    coalesce(decided.recording_id, track.recording_id, heard.track_id) as recording_id,
    sum(heard.plays)::int as plays,
    sum(heard.counted_plays)::int as counted_plays,
    sum(heard.ms_played)::bigint as ms_played,
    min(heard.first_played_at) as first_played_at,
    max(heard.last_played_at) as last_played_at
from {{ ref('agg_period_tracks') }} as heard
left join {{ ref('dim_tracks') }} as track on track.track_id = heard.track_id
left join {{ ref('bridge_user_recordings') }} as decided
    on decided.user_id = heard.user_id and decided.track_id = heard.track_id
where heard.period in ('month', 'week')
group by heard.user_id, heard.period, heard.period_start, coalesce(decided.recording_id, track.recording_id, heard.track_id)
