{#
  The resolution: each raw event with the play that it is part of, and why. As the view int_plays__resolved it is all of
  it; for fct_plays_stored an incremental run reads the days of the run alone, each relation by its own index, which
  conditions on the view would not reach through its joins.
#}
{% macro resolution(is_of_run_days=false) -%}
{%- set of_days = rows_of_run_days if is_of_run_days else every_row -%}
with events as (
    select event.*
    from {{ of_days(ref('stg_raw__listening_events')) }} as event
),

matched as (
    select event.*
    from {{ of_days(ref('int_plays__matched')) }} as event
),

-- Polled plays that an archive row confirms, and those rows.
confirming as (
    select pair.*
    from {{ of_days(ref('int_plays__paired')) }} as pair
),

confirmed as (
    select pair.*
    from {{ of_days(ref('int_plays__paired'), time_column='play_played_at') }} as pair
),

-- Polled plays that a later poll reported differently: part of whatever the first one is part of.
again as (
    select
        event.user_id,
        event.played_at,
        event.event_id,
        event.decision,
        coalesce(pair.play_id, event.play_id) as play_id
    from {{ of_days(ref('int_plays__polled_again')) }} as event
    -- The event that it repeats may be of the day before.
    left join {{ ref('int_plays__paired') }} as pair
        on
            pair.user_id = event.user_id
            and pair.played_at = event.play_played_at
            and pair.event_id = event.play_id
)

select
    events.played_at,
    events.event_id,
    coalesce(again.play_id, confirming.play_id, matched.play_id, events.event_id) as play_id,
    events.offline_at,
    events.user_id,
    events.content_id,
    -- A row that names nothing is named by the account data or the polled play that reports it too.
    coalesce(matched.play_content_id, events.content_id, confirmed.content_id) as play_content_id,
    events.ms_played,
    events.context_id,
    events.source_id,
    events.occurrence,
    coalesce(matched.is_canonical, confirming.play_id is null and again.play_id is null) as is_canonical,
    events.shuffle,
    events.skipped,
    events.offline,
    events.incognito,
    case
        when again.decision is not null then again.decision
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
left join again
    on
        again.user_id = events.user_id
        and again.played_at = events.played_at
        and again.event_id = events.event_id
{%- endmacro %}

{% macro every_row(relation, time_column=none) -%} {{ relation }} {%- endmacro %}
