{{ config(
    pre_hook="{{ hash_joins_of_many_days() }}",
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

-- Events of one source: the following looks only at the one that represents them.
retold as materialized (
    select event.*
    from {{ in_run_days(ref('int_plays__retold')) }} as event
),

-- Account data has minutes and names; an extended row of the same minute and duration may be the same play.
account_events as materialized (
    select
        event.*,
        content.kind,
        content.match_title,
        content.match_key,
        {{ artist_or_show('content') }} as artist_or_show
    from events as event
    left join {{ ref('stg_raw__contents') }} as content on content.content_id = event.content_id
    where
        event.source_id {{ sources_that("clock = 'end' and precision_ms >= 60000") }}
        and event.ms_played is not null
        and not exists (
            select from retold where retold.user_id = event.user_id and retold.event_id = event.event_id
        )
),

account_minutes as (
    select distinct user_id, played_at, ms_played from account_events
),

candidates as materialized (
    select
        event.*,
        minute.played_at as minute,
        content.uri,
        content.kind,
        content.match_title,
        content.match_key,
        {{ artist_or_show('content') }} as artist_or_show
    from account_minutes as minute
    inner join events as event
        on
            event.user_id = minute.user_id
            and date_trunc('minute', event.played_at, 'UTC') = minute.played_at
            and event.ms_played = minute.ms_played
    left join {{ ref('stg_raw__contents') }} as content on content.content_id = event.content_id
    where
        event.source_id {{ sources_that("clock = 'end' and precision_ms < 60000") }}
        and not exists (
            select from retold where retold.user_id = event.user_id and retold.event_id = event.event_id
        )
),

-- If one of the two does not say how long was heard, minute and names are all there is. Few archives have such rows.
unmeasured_account as materialized (
    select
        event.*,
        content.match_title,
        content.match_key
    from events as event
    left join {{ ref('stg_raw__contents') }} as content on content.content_id = event.content_id
    where
        event.source_id {{ sources_that("clock = 'end' and precision_ms >= 60000") }}
        and event.ms_played is null
        and not exists (
            select from retold where retold.user_id = event.user_id and retold.event_id = event.event_id
        )
),

in_unmeasured_minutes as (
    select event.*, minute.played_at as minute
    from (select distinct user_id, played_at from account_events) as minute
    inner join events as event
        on event.user_id = minute.user_id and date_trunc('minute', event.played_at, 'UTC') = minute.played_at
    where event.ms_played is null
    union
    select event.*, minute.played_at
    from (select distinct user_id, played_at from unmeasured_account) as minute
    inner join events as event
        on event.user_id = minute.user_id and date_trunc('minute', event.played_at, 'UTC') = minute.played_at
),

unmeasured as materialized (
    select event.*, content.uri, content.match_title, content.match_key
    from in_unmeasured_minutes as event
    left join {{ ref('stg_raw__contents') }} as content on content.content_id = event.content_id
    where
        event.source_id {{ sources_that("clock = 'end' and precision_ms < 60000") }}
        and not exists (
            select from retold where retold.user_id = event.user_id and retold.event_id = event.event_id
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

-- Until 2024, account data listed episodes as tracks, with the show as artist. Either name may have been edited since.
by_episode as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates', taken=['by_names', 'by_title'],
        keys=['match_title'], condition="match_title <> ''", account_condition="kind = 'track'",
        extended_condition="kind <> 'track'", decision='confirms_by_minute_as_track'
    ) }}
),

by_show as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates', taken=['by_names', 'by_title', 'by_episode'],
        keys=['artist_or_show'], condition="artist_or_show <> '' and ms_played > 0", account_condition="kind = 'track'",
        extended_condition="kind <> 'track'", decision='confirms_by_minute_as_track'
    ) }}
),

-- Titles are edited ("... - Remastered").
by_artist as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates', taken=['by_names', 'by_title', 'by_episode', 'by_show'],
        keys=['kind', 'artist_or_show'],
        condition="artist_or_show <> '' and ms_played >= " ~ var('same_artist_ms'),
        decision='confirms_by_minute_artist_only'
    ) }}
),

-- One of the two lacks the name: the extended history, or the account data ("Unknown Artist").
by_duration as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates',
        taken=['by_names', 'by_title', 'by_episode', 'by_show', 'by_artist'],
        keys=[], extended_condition='content_id is null', condition='ms_played > 0',
        decision='unknown_content_by_minute'
    ) }}
),

by_duration_alone as materialized (
    {{ pair_by_minute(
        account='account_events', extended='candidates',
        taken=['by_names', 'by_title', 'by_episode', 'by_show', 'by_artist', 'by_duration'],
        keys=[], account_condition='content_id is null', condition='ms_played > 0',
        decision='unknown_content_by_minute'
    ) }}
),

by_names_of_unmeasured as materialized (
    {{ pair_by_minute(
        account='account_events', extended='unmeasured',
        taken=['by_names', 'by_title', 'by_episode', 'by_show', 'by_artist', 'by_duration', 'by_duration_alone'],
        keys=['match_key'], condition="match_title <> ''", extended_condition='ms_played is null', same_length=false,
        decision='confirms_by_minute'
    ) }}
),

by_names_alone as materialized (
    {{ pair_by_minute(
        account='unmeasured_account', extended='unmeasured',
        taken=[
            'by_names', 'by_title', 'by_episode', 'by_show', 'by_artist', 'by_duration', 'by_duration_alone',
            'by_names_of_unmeasured'
        ],
        keys=['match_key'], condition="match_title <> ''", same_length=false, decision='confirms_by_minute'
    ) }}
),

pairs as materialized (
    {%- for pairing in [
        'by_names', 'by_title', 'by_episode', 'by_show', 'by_artist', 'by_duration_alone', 'by_names_of_unmeasured',
        'by_names_alone'
    ] %}
    select
        user_id, played_at, event_id, content_id, play_id, play_played_at, null::int as play_content_id, decision,
        source_id, play_source_id
    from {{ pairing }}
    union all
    {%- endfor %}
    select
        user_id, played_at, event_id, content_id, play_id, play_played_at, content_id, decision,
        source_id, play_source_id
    from by_duration
),

members as materialized (
    select * from pairs
    union all
    select
        retold.user_id,
        retold.played_at,
        retold.event_id,
        retold.content_id,
        coalesce(pairs.play_id, retold.play_id),
        coalesce(pairs.play_played_at, retold.played_at),
        null,
        retold.decision,
        retold.source_id,
        coalesce(pairs.play_source_id, retold.source_id)
    from retold
    left join pairs on pairs.user_id = retold.user_id and pairs.event_id = retold.play_id
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
    null::int as play_ms_played,
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
    (
        select max(told.ms_played)
        from by_names_of_unmeasured as measured
        inner join account_events as told on told.user_id = measured.user_id and told.event_id = measured.event_id
        where measured.user_id = members.user_id and measured.play_id = members.play_id
    ),
    string_agg(distinct sources.source, ', ' order by sources.source)
        filter (where members.source_id <> members.play_source_id)
from members
inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = members.source_id
group by members.user_id, members.play_played_at, members.play_id
