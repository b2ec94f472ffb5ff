{{ config(
    pre_hook="{{ hash_joins_of_many_days('mart_run_api_days') }}",
    meta={'slices': 'api_days', 'order_by': 'user_id, played_at, event_id', 'marks': 'days_of_changed_pairs'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'event_id'], 'unique': true},
        {'columns': ['user_id', 'play_id']},
        {'columns': ['content_id']},
    ],
) }}

with polled as (
    select
        event.user_id,
        event.played_at,
        event.event_id,
        event.content_id,
        event.batch_id,
        event.source_id,
        {{ origin('sources', 'contexts') }} as origin
    from {{ in_api_days(ref('stg_raw__listening_events'), margin_hours=1) }} as event
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = event.source_id
    left join {{ ref('stg_raw__contexts') }} as contexts on contexts.context_id = event.context_id
    where event.source_id {{ sources_that("arrives <> 'archive'") }}
),

-- Runs of one source's events with less than a second between one and the next, whatever the songs: nearly all have one
-- event.
stepped as (
    select
        *,
        played_at - lag(played_at) over (partition by user_id, source_id, origin order by played_at, event_id) < interval '1 second' as is_near
    from polled
),

stretches as (
    select *, count(*) filter (where is_near is not true) over (partition by user_id, source_id, origin order by played_at, event_id) as stretch
    from stepped
),

near as (
    select *, count(*) over (partition by user_id, source_id, origin, stretch) as events
    from stretches
),

named as materialized (
    select near.*, contents.song, contents.isrc
    from near
    left join {{ ref('stg_raw__contents') }} as contents on contents.content_id = near.content_id
    where near.events > 1
),

-- With the same recording code, two names are one song.
recorded as (
    select *, case
        when isrc is null then song
        else first_value(song) over (partition by user_id, source_id, origin, stretch, upper(isrc) order by song)
    end as song_of_recording
    from named
),

songs as (
    select
        *,
        first_value(song_of_recording) over (partition by user_id, source_id, origin, stretch, song order by song_of_recording) as one_song
    from recorded
),

-- Events of one song are the same play until a second has passed.
repeated as (
    select
        *,
        played_at - lag(played_at) over (partition by user_id, source_id, origin, stretch, one_song order by played_at, event_id)
        < interval '1 second' as is_same
    from songs
),

plays as (
    select
        *,
        count(*) filter (where is_same is not true) over (
            partition by user_id, source_id, origin, stretch, one_song order by played_at, event_id
        ) as play_no
    from repeated
),

-- The event that was polled first represents the play.
grouped as materialized (
    select
        *,
        first_value(event_id) over first_polled as play_id,
        first_value(played_at) over first_polled as play_played_at
    from plays
    window first_polled as (partition by user_id, source_id, origin, stretch, one_song, play_no order by batch_id, played_at, event_id)
),

-- A track that was removed between two polls has no name in one of them.
found_again as (
    select distinct on (nameless.play_id)
        nameless.play_id as nameless_id,
        named.play_id,
        named.play_played_at
    from grouped as nameless
    inner join grouped as named
        on
            named.user_id = nameless.user_id
            and named.source_id = nameless.source_id
            and named.origin = nameless.origin
            and named.stretch = nameless.stretch
            and named.song is not null
            and named.played_at - nameless.played_at > interval '-1 second'
            and named.played_at - nameless.played_at < interval '1 second'
    where nameless.song is null
    order by nameless.play_id, abs(extract(epoch from named.played_at - nameless.played_at)), named.played_at, named.event_id
),

told as (
    select
        grouped.user_id,
        grouped.played_at,
        grouped.event_id,
        grouped.content_id,
        grouped.source_id,
        grouped.song,
        coalesce(found_again.play_id, grouped.play_id) as play_id,
        coalesce(found_again.play_played_at, grouped.play_played_at) as play_played_at
    from grouped
    left join found_again on found_again.nameless_id = grouped.play_id
),


-- The events that represent their plays, of services that also offer an archive.
of_services as materialized (
    select
        polled.user_id,
        polled.played_at,
        polled.event_id,
        polled.content_id,
        archive.source_id as archive_source_id,
        contents.song
    from polled
    inner join {{ ref('stg_raw__sources') }} as service on service.source_id = polled.source_id
    inner join {{ ref('stg_raw__sources') }} as archive
        on archive.source = regexp_replace(service.source, '_api$', '_export') and archive.source <> service.source
    inner join {{ ref('stg_raw__contents') }} as contents on contents.content_id = polled.content_id
    where
        contents.song is not null
        and not exists (select from told where told.event_id = polled.event_id and told.play_id <> told.event_id)
),

archived as materialized (
    select
        event.user_id,
        event.played_at,
        event.event_id,
        event.source_id as archive_source_id,
        contents.song
    from {{ in_api_days(ref('stg_raw__listening_events'), margin_hours=1, users='of_services') }} as event
    inner join {{ ref('stg_raw__contents') }} as contents on contents.content_id = event.content_id
    where
        event.source_id in (select archive_source_id from of_services)
        and contents.song is not null
        and not exists (
            select from {{ ref('int_plays__retold') }} as retold
            where
                retold.user_id = event.user_id
                and retold.played_at = event.played_at
                and retold.event_id = event.event_id
        )
),

-- What somebody corrected at the service after the archive was written: in the same second, each side names what the
-- other does not. The archive's row represents the play.
corrected as (
    select
        now_told.user_id,
        now_told.event_id,
        archive_told.event_id as play_id,
        archive_told.played_at as play_played_at
    from (
        {{ told_otherwise('of_services', 'archived') }}
    ) as now_told
    inner join (
        {{ told_otherwise('archived', 'of_services') }}
    ) as archive_told
        on
            archive_told.user_id = now_told.user_id
            and archive_told.archive_source_id = now_told.archive_source_id
            and archive_told.played_at = now_told.played_at
            and archive_told.place = now_told.place
)

select
    event.user_id,
    event.played_at,
    event.event_id,
    event.content_id,
    coalesce(corrected.play_id, event.play_id) as play_id,
    coalesce(corrected.play_played_at, event.play_played_at) as play_played_at,
    'polled_again' as decision
from (
    select user_id, played_at, event_id, content_id, play_id, play_played_at from told
    where event_id <> play_id
    union all
    select user_id, played_at, event_id, content_id, event_id, played_at from of_services
) as event
left join corrected on corrected.user_id = event.user_id and corrected.event_id = event.play_id
{%- if is_incremental() %}
inner join {{ api_days() }} as api_day
    on api_day.user_id = event.user_id and api_day.utc_day = (event.played_at at time zone 'UTC')::date
{%- endif %}
where event.event_id <> coalesce(corrected.play_id, event.play_id)
