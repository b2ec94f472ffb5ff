{{ config(
    meta={'slices': 'run_days', 'order_by': 'user_id, played_at, event_id'},
    indexes=[{'columns': ['user_id', 'played_at', 'event_id'], 'unique': true}],
) }}

with events as (
    select event.*
    from {{ in_run_days(ref('stg_raw__listening_events')) }} as event
),

matched as (
    select event.*
    from {{ in_run_days(ref('int_plays__matched')) }} as event
),

-- Polled plays that an archive row confirms, and those rows.
confirming as (
    select pair.*
    from {{ in_run_days(ref('int_plays__paired')) }} as pair
),

confirmed as (
    select pair.*
    from {{ in_run_days(ref('int_plays__paired'), time_column='play_played_at') }} as pair
)

select
    events.played_at,
    events.event_id,
    coalesce(confirming.play_id, matched.play_id, events.event_id) as play_id,
    events.offline_at,
    events.user_id,
    events.content_id,
    -- A row that names nothing is named by the account data or the polled play that reports it too.
    coalesce(matched.play_content_id, events.content_id, confirmed.content_id) as play_content_id,
    events.ms_played,
    events.context_id,
    events.source_id,
    events.occurrence,
    coalesce(matched.is_canonical, confirming.play_id is null) as is_canonical,
    events.shuffle,
    events.skipped,
    events.offline,
    events.incognito,
    case
        when confirming.decision is not null then confirming.decision
        when confirmed.decision is not null then 'confirmed'
        else coalesce(matched.decision, 'alone')
    end as decision,
    nullif(concat_ws(', ', matched.confirmed_by, case when confirmed.decision is not null then 'spotify_api' end), '')
        as confirmed_by
from events
left join matched
    on
        matched.user_id = events.user_id
        and matched.played_at = events.played_at
        and matched.event_id = events.event_id
left join confirming
    on
        confirming.user_id = events.user_id
        and confirming.played_at = events.played_at
        and confirming.event_id = events.event_id
left join confirmed
    on
        confirmed.user_id = events.user_id
        and confirmed.play_played_at = events.played_at
        and confirmed.play_id = events.event_id
