{{ config(materialized='view', post_hook=[]) }}

with plays as (
    select
        event.*,
        coalesce(matched.play_content_id, event.content_id) as play_content_id,
        coalesce(event.ms_played, 0) * interval '1 millisecond' as heard,
        event.played_at - event.offline_at - coalesce(event.ms_played, 0) * interval '1 millisecond' as silent,
        -- Spotify's list of recent plays contains few shorter ones, and a play of unknown length may be long.
        coalesce(event.ms_played >= {{ var('api_from_ms') }}, true) as is_long,
        -- In the middle of the interval that truncated times leave open.
        sources.precision_ms * interval '500 microseconds' as half_open
    from {{ ref('stg_raw__listening_events') }} as event
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = event.source_id
    left join {{ ref('int_plays__matched') }} as matched
        on
            matched.user_id = event.user_id
            and matched.played_at = event.played_at
            and matched.event_id = event.event_id
    where
        event.source_id {{ sources_that("clock = 'end'") }}
        and matched.is_canonical is not false
),

placed as (
    select
        *,
        coalesce(offline and silent > {{ longest_pause() }} and silent < interval '31 days', false) as is_synced,
        coalesce(silent between interval '-5 seconds' and {{ longest_pause() }}, false) as is_start_known
    from plays
),

ended as (
    select
        *,
        case when is_start_known or is_synced then offline_at else played_at - heard end + half_open as start_at,
        case when is_synced then offline_at + heard else played_at end + half_open as end_at
    from placed
)

select
    ended.user_id,
    ended.played_at,
    ended.event_id,
    contents.song,
    ended.play_content_id as content_id,
    ended.source_id,
    ended.incognito is true as is_private,
    coalesce(contexts.platform, '') as platform,
    ended.is_long,
    ended.offline,
    ended.offline_at,
    ended.half_open,
    ended.start_at,
    ended.end_at,
    -- A sync soon after the play is indistinguishable from a pause.
    case when ended.offline and ended.is_start_known then ended.start_at + ended.heard end as sound_end_at,
    greatest(
        case
            when ended.is_start_known or ended.is_synced or not ended.is_long then ended.start_at
            else ended.start_at - {{ longest_pause() }}
        end,
        ended.end_at - {{ longest_play() }}
    ) as earliest_at,
    case when ended.is_synced then least(ended.played_at, ended.end_at + {{ longest_pause() }}) else ended.end_at end
        as latest_at
from ended
left join {{ ref('stg_raw__contents') }} as contents on contents.content_id = ended.play_content_id
left join {{ ref('stg_raw__contexts') }} as contexts on contexts.context_id = ended.context_id
where ended.play_content_id is null or contents.kind = 'track'
