{{ config(
    meta={'slices': 'run_days', 'order_by': 'user_id, played_at, event_id'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'event_id'], 'unique': true},
        {'columns': ['content_id', 'user_id', 'played_at']},
    ],
) }}

with events as not materialized (
    select event.*
    from {{ in_run_days(ref('stg_raw__listening_events')) }} as event
),

-- 1. A removed track in one archive, the same time and duration with its content in another: the same play.
unknown_events as materialized (
    select
        *,
        row_number() over (
            partition by user_id, played_at, ms_played order by batch_id, occurrence
        ) as pair_no
    from events
    where source_id = 1 and content_id is null
),

-- Counted from the other end: within one archive both are plays of their own, so its own rows should meet last.
known_twins as (
    select
        event.*,
        row_number() over (
            partition by event.user_id, event.played_at, event.ms_played
            order by event.batch_id desc, event.content_id, event.occurrence
        ) as pair_no
    from events as event
    where
        event.source_id = 1
        and event.content_id is not null
        and (event.user_id, event.played_at) in (select user_id, played_at from unknown_events)
),

twins as materialized (
    select
        unknown_events.user_id,
        unknown_events.played_at,
        unknown_events.event_id,
        known_twins.event_id as play_id,
        known_twins.played_at as play_played_at
    from unknown_events
    inner join known_twins
        on
            known_twins.user_id = unknown_events.user_id
            and known_twins.played_at = unknown_events.played_at
            and known_twins.pair_no = unknown_events.pair_no
            and known_twins.ms_played is not distinct from unknown_events.ms_played
            and known_twins.batch_id <> unknown_events.batch_id
),

-- 2 to 4. Account data has minutes and names; an extended row of the same minute and duration may be the same play.
account_events as materialized (
    select
        event.*,
        content.kind,
        content.match_title,
        content.match_key
    from events as event
    inner join {{ ref('stg_raw__contents') }} as content on content.content_id = event.content_id
    where event.source_id = 2 and event.ms_played is not null
),

account_minutes as (
    select distinct user_id, played_at, ms_played from account_events
),

candidates as materialized (
    select
        event.*,
        minute.played_at as minute,
        content.kind,
        content.match_title,
        content.match_key
    from account_minutes as minute
    inner join events as event
        on
            event.user_id = minute.user_id
            and date_trunc('minute', event.played_at, 'UTC') = minute.played_at
            and event.ms_played = minute.ms_played
    left join {{ ref('stg_raw__contents') }} as content on content.content_id = event.content_id
    where
        event.source_id = 1
        and not exists (
            select from twins where twins.user_id = event.user_id and twins.event_id = event.event_id
        )
),

by_names as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates',
        keys=['match_key'], condition="match_title <> ''", decision='confirms_by_minute'
    ) }}
),

by_title as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates', taken=['by_names'],
        keys=['kind', 'match_title'], condition="match_title <> ''", decision='confirms_by_minute_title_only'
    ) }}
),

by_duration as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates', taken=['by_names', 'by_title'],
        keys=[], extended_condition='content_id is null', condition='ms_played > 0',
        decision='unknown_content_by_minute'
    ) }}
),

members as materialized (
    select
        user_id, played_at, event_id, null::int as content_id, 1::smallint as source_id, play_id, play_played_at,
        null::int as play_content_id, 'unknown_content' as decision
    from twins
    union all
    select user_id, played_at, event_id, content_id, 2, play_id, play_played_at, null, decision from by_names
    union all
    select user_id, played_at, event_id, content_id, 2, play_id, play_played_at, null, decision from by_title
    union all
    select user_id, played_at, event_id, content_id, 2, play_id, play_played_at, content_id, decision from by_duration
)

select
    user_id,
    played_at,
    event_id,
    content_id,
    play_id,
    false as is_canonical,
    decision,
    null::int as play_content_id,
    null::text as confirmed_by
from members
union all
select
    members.user_id,
    members.play_played_at,
    members.play_id,
    null,
    members.play_id,
    true,
    'confirmed',
    max(members.play_content_id),
    string_agg(distinct sources.source, ', ' order by sources.source) filter (where members.source_id <> 1)
from members
inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = members.source_id
group by members.user_id, members.play_played_at, members.play_id
