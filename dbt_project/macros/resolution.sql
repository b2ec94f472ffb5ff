{#
  The resolution: each raw event with the play that it belongs to, and why. The view int_plays__resolved contains all of
  it. For fct_plays_stored, an incremental run reads only the days of the run, each relation by its own index;
  conditions on the view would not be pushed down through its joins.
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

-- Polled plays and scrobbles that report a play of a more reliable source, and those plays.
confirming as (
    select pair.*
    from {{ of_days(ref('int_plays__paired')) }} as pair
),

confirmed as (
    select pair.*
    from {{ of_days(ref('int_plays__paired'), time_column='play_played_at') }} as pair
    where pair.source_id {{ sources_that("clock = 'learnt'") }}
),

-- What scrobblers report of a play of another source, the most reliable first.
scrobbled as (
    select
        pair.user_id,
        pair.play_played_at,
        pair.play_id,
        (array_agg(pair.content_id order by sources.rank, pair.origin) filter (where pair.content_id is not null))[1]
            as content_id,
        (array_agg(pair.ms_played order by sources.rank, pair.origin) filter (where pair.ms_played is not null))[1]
            as ms_played,
        bool_or(sources.reports_counted) as reports_counted,
        array_to_string(array(
            select told.source from {{ ref('stg_raw__sources') }} as told
            where told.source_id = any(array_agg(pair.source_id))
            order by told.rank
        ), ', ') as sources
    from {{ of_days(ref('int_plays__paired'), time_column='play_played_at') }} as pair
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = pair.source_id
    where pair.source_id {{ sources_that("clock = 'start'") }}
    group by pair.user_id, pair.play_played_at, pair.play_id
),

-- Events that report a play again: they belong to the play of the event that represents it.
again as (
    select
        event.user_id,
        event.played_at,
        event.event_id,
        event.decision,
        coalesce(pair.play_id, event.play_id) as play_id
    from {{ of_days(ref('int_plays__polled_again')) }} as event
    -- The event that it repeats may be from the day before.
    left join {{ ref('int_plays__paired') }} as pair
        on
            pair.user_id = event.user_id
            and pair.played_at = event.play_played_at
            and pair.event_id = event.play_id
)

select
    events.played_at,
    events.event_id,
    coalesce(again.play_id, confirming.play_id, standing.play_id, matched.play_id, events.event_id) as play_id,
    events.offline_at,
    events.user_id,
    events.content_id,
    -- A row without a name takes the name from the account data, polled play or scrobble that also reports it.
    coalesce(matched.play_content_id, events.content_id, confirmed.content_id, scrobbled.content_id) as play_content_id,
    events.ms_played,
    coalesce(events.ms_played, matched.play_ms_played, scrobbled.ms_played) as play_ms_played,
    coalesce(confirmed.decision is not null or scrobbled.reports_counted, false) as is_reported,
    events.context_id,
    events.source_id,
    events.occurrence,
    coalesce(matched.is_canonical, true) and confirming.play_id is null and again.play_id is null as is_canonical,
    events.shuffle,
    events.skipped,
    events.offline,
    events.incognito,
    case
        when again.decision is not null then again.decision
        when confirming.decision is not null then confirming.decision
        when confirmed.decision is not null or scrobbled.play_id is not null then 'confirmed'
        else coalesce(matched.decision, 'alone')
    end as decision,
    nullif(concat_ws(', ', matched.confirmed_by, polled.source, scrobbled.sources), '') as confirmed_by
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
left join {{ ref('stg_raw__sources') }} as polled on polled.source_id = confirmed.source_id
left join scrobbled
    on
        scrobbled.user_id = events.user_id
        and scrobbled.play_played_at = events.played_at
        and scrobbled.play_id = events.event_id
-- If the event that represents a match itself confirms another play, the matched events go with it.
left join confirming as standing
    on
        standing.user_id = matched.user_id
        and standing.played_at = matched.played_at
        and standing.event_id = matched.play_id
left join again
    on
        again.user_id = events.user_id
        and again.played_at = events.played_at
        and again.event_id = events.event_id
{%- endmacro %}

{% macro every_row(relation, time_column=none) -%} {{ relation }} {%- endmacro %}
