{{ config(
    pre_hook="{{ hash_joins_of_many_days('mart_run_api_days') }}",
    meta={'slices': 'api_days', 'order_by': 'user_id, played_at, event_id'},
    indexes=[
        {'columns': ['user_id', 'played_at', 'event_id', 'play_id'], 'unique': true},
        {'columns': ['user_id', 'play_played_at']},
        {'columns': ['content_id']},
    ],
) }}

-- Songs are looked up in spans of three hours, longer than any play reaches.
{%- set span_s = 10800 %}

with polled as materialized (
    select
        event.user_id,
        event.played_at,
        event.event_id,
        event.content_id,
        event.source_id as polled_source_id,
        contents.song,
        floor(extract(epoch from event.played_at) / {{ span_s }})::int as span
    from {{ in_api_days(ref('stg_raw__listening_events')) }} as event
    left join {{ ref('stg_raw__contents') }} as contents on contents.content_id = event.content_id
    where
        event.source_id {{ sources_that("clock = 'learnt'") }}
        and not exists (
            select from {{ ref('int_plays__polled_again') }} as again
            where again.user_id = event.user_id and again.played_at = event.played_at and again.event_id = event.event_id
        )
),

archived as materialized (
    select *
    from ({{ timed_near_api_days(users='polled') }}) as timed
    -- Spotify's list of recent plays contains no private ones.
    where not is_private
),

in_spans as (
    select
        archived.user_id,
        archived.played_at,
        archived.event_id,
        archived.source_id,
        archived.platform,
        archived.song,
        archived.is_long,
        archived.half_open,
        archived.start_at,
        archived.end_at,
        archived.sound_end_at,
        archived.earliest_at,
        archived.latest_at,
        span.span
    from archived
    cross join lateral generate_series(
        floor(extract(epoch from archived.earliest_at - {{ longest_delay() }}) / {{ span_s }})::int,
        floor(extract(epoch from archived.latest_at + {{ longest_delay() }}) / {{ span_s }})::int
    ) as span (span)
),

candidates as (
    select
        polled.played_at as polled_at, polled.event_id as polled_id, polled.content_id, polled.polled_source_id, archived.*
    from polled
    inner join in_spans as archived
        on archived.user_id = polled.user_id and archived.span = polled.span and archived.song = polled.song
    where
        polled.played_at >= archived.earliest_at - {{ longest_delay() }}
        and polled.played_at <= archived.latest_at + {{ longest_delay() }}
    union all
    -- A row of a removed track says when it was played, but not what.
    select polled.played_at, polled.event_id, polled.content_id, polled.polled_source_id, archived.*
    from polled
    inner join in_spans as archived
        on archived.user_id = polled.user_id and archived.span = polled.span and archived.song is null
    where
        polled.played_at between archived.start_at - {{ longest_delay() }} and archived.start_at + {{ longest_delay() }}
        or polled.played_at between archived.end_at - {{ longest_delay() }} and archived.end_at + {{ longest_delay() }}
),

measured as (
    select
        *,
        extract(epoch from polled_at - end_at)::float8 as after_end_s,
        extract(epoch from polled_at - start_at)::float8 as after_start_s,
        extract(epoch from polled_at - sound_end_at)::float8 as after_sound_s
    from candidates
),

ranked as (
    select *, row_number() over (
        partition by user_id, polled_id, is_long
        order by least(abs(after_end_s), abs(after_start_s), abs(after_sound_s)), played_at, event_id
    ) as place
    from measured
),

{{ scrobble_candidates() }}

select
    user_id,
    polled_at as played_at,
    polled_id as event_id,
    content_id,
    polled_source_id as source_id,
    '' as origin,
    null::int as ms_played,
    event_id as play_id,
    played_at as play_played_at,
    source_id as play_source_id,
    platform,
    platform as play_platform,
    song is not null as is_named,
    true as is_same_song,
    true as is_rare,
    is_long,
    extract(epoch from half_open)::float8 as half_open_s,
    after_end_s,
    after_start_s,
    after_sound_s,
    null::float8 as length_s
from ranked
-- If one track is on loop all day, only its nearest plays are considered. Short ones are counted separately, so that
-- skips never crowd out a long play.
where place <= {{ var('most_candidates') }}
union all
select
    user_id,
    played_at,
    event_id,
    content_id,
    source_id,
    origin,
    ms_played,
    play_id,
    play_played_at,
    play_source_id,
    platform,
    play_platform,
    is_named,
    is_same_song,
    is_rare,
    is_long,
    half_open_s,
    after_end_s,
    after_start_s,
    after_sound_s,
    length_s
from scrobble_candidates
