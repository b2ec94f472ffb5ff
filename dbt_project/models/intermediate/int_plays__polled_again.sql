{{ config(
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

-- Stretches of one source's events without a second between one and the next, whatever the songs: nearly all have one event.
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

-- A recording code makes two names one song.
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

-- The event that was there first stands for the play.
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
)

select
    told.user_id,
    told.played_at,
    told.event_id,
    told.content_id,
    told.play_id,
    told.play_played_at,
    'polled_again' as decision
from (
    select
        grouped.user_id,
        grouped.played_at,
        grouped.event_id,
        grouped.content_id,
        coalesce(found_again.play_id, grouped.play_id) as play_id,
        coalesce(found_again.play_played_at, grouped.play_played_at) as play_played_at
    from grouped
    left join found_again on found_again.nameless_id = grouped.play_id
) as told
{%- if is_incremental() %}
inner join {{ api_days() }} as api_day
    on api_day.user_id = told.user_id and api_day.utc_day = (told.played_at at time zone 'UTC')::date
{%- endif %}
where told.event_id <> told.play_id
