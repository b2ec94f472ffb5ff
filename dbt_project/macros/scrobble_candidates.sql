{#
  The part of int_plays__candidates that is about scrobbles: CTEs that end in `scrobble_candidates`. A scrobble reports
  when a play began. A more reliable source may know the same play: an archive that reports its end, a poll, or another
  scrobbler. For listeners without scrobbles, nothing is read.
#}
{% macro scrobble_candidates() -%}
{#- A span of 16 hours plus as far as a clock may be off: see far_meetings. #}
{%- set margin_hours = 34 %}
{%- set anchor_columns -%}
        anchor.user_id,
        anchor.played_at,
        anchor.event_id,
        anchor.content_id,
        anchor.source_id,
        anchor.platform,
        anchor.origin,
        anchor.is_long,
        anchor.half_open,
        anchor.start_at,
        anchor.end_at,
        anchor.length,
        anchor.artist
{%- endset %}
{#- How far a pause or a poll of unknown length reaches. #}
{%- set unknown_length = "interval '15 minutes'" %}
scrobbles as materialized (
    select
        event.user_id,
        event.played_at,
        event.event_id,
        event.content_id,
        event.ms_played,
        event.source_id,
        sources.rank,
        sources.may_be_off_s,
        coalesce(contexts.platform, '') as platform,
        {{ origin('sources', 'contexts') }} as origin,
        sources.precision_ms * interval '500 microseconds' as half_open,
        event.played_at + sources.precision_ms * interval '500 microseconds' as start_at
    from {{ in_api_days(ref('stg_raw__listening_events'), margin_hours=margin_hours) }} as event
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = event.source_id
    left join {{ ref('stg_raw__contexts') }} as contexts on contexts.context_id = event.context_id
    where
        event.source_id {{ sources_that("clock = 'start'") }}
        and not exists (
            select from {{ ref('int_plays__polled_again') }} as again
            where again.user_id = event.user_id and again.played_at = event.played_at and again.event_id = event.event_id
        )
        and not exists (
            select from {{ ref('int_plays__matched') }} as retold
            where
                retold.user_id = event.user_id
                and retold.played_at = event.played_at
                and retold.event_id = event.event_id
                and not retold.is_canonical
        )
),

anchors as materialized (
    select
        user_id, played_at, event_id, content_id, source_id, '' as platform, '' as origin, is_long, half_open, start_at, end_at,
        null::interval as length, earliest_at, latest_at
    from ({{ timed_near_api_days(margin_hours=margin_hours, users='scrobbles') }}) as timed
    union all
    -- A poll reports the start or the end of a play: which of the two, and how much later, is learnt.
    select
        event.user_id, event.played_at, event.event_id, event.content_id, event.source_id, '', '', true, interval '0',
        event.played_at - contents.duration_ms * interval '1 millisecond',
        event.played_at,
        contents.duration_ms * interval '1 millisecond',
        event.played_at
        - least(
            coalesce(contents.duration_ms * interval '1 millisecond', {{ unknown_length }}) + {{ longest_pause() }},
            {{ longest_play() }}
        ),
        event.played_at
    from {{ in_api_days(ref('stg_raw__listening_events'), margin_hours=margin_hours, users='scrobbles') }} as event
    left join {{ ref('stg_raw__contents') }} as contents on contents.content_id = event.content_id
    where
        event.source_id {{ sources_that("clock = 'learnt'") }}
        and not exists (
            select from {{ ref('int_plays__polled_again') }} as again
            where again.user_id = event.user_id and again.played_at = event.played_at and again.event_id = event.event_id
        )
    union all
    select
        user_id, played_at, event_id, content_id, source_id, platform, origin, true, half_open, start_at, null, null, start_at,
        start_at
    from scrobbles
),

names as materialized (
    select
        contents.content_id,
        {{ coarse_title("coalesce(nullif(contents.match_title, ''), contents.title)") }} as title,
        {{ coarse_artist('contents.creator') }} as artist
    from {{ ref('stg_raw__contents') }} as contents
    where contents.content_id in (select content_id from anchors)
),

named_scrobbles as materialized (
    select scrobble.*, names.title, names.artist
    from scrobbles as scrobble
    inner join names on names.content_id = scrobble.content_id
    {%- if is_incremental() %}
    inner join {{ api_days() }} as api_day
        on api_day.user_id = scrobble.user_id and api_day.utc_day = (scrobble.played_at at time zone 'UTC')::date
    {%- endif %}
),

named_anchors as materialized (
    select anchor.*, names.title, names.artist, sources.rank
    from anchors as anchor
    inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = anchor.source_id
    left join names on names.content_id = anchor.content_id
),

{#-
  Titles are looked up in spans, and further away for a clock that may be off by hours. Spans are computed before the
  join: left to the planner, every play of a title was joined with every scrobble of it, in all years, and the spans
  were compared last.
#}
{%- for reach, span_s, far_s, condition in [
    ('near', 3600, 150, 'scrobble.may_be_off_s <= 60'), ('far', 57600, 50520, 'scrobble.may_be_off_s > 60')
] %}

{{ reach }}_spans as materialized (
    select
        anchor.*,
        span.span
        {%- if reach == 'far' %},
        count(*) over (partition by anchor.user_id, anchor.source_id, span.span, anchor.title) as plays_of_span
        {%- endif %}
    from named_anchors as anchor
    cross join lateral generate_series(
        floor(extract(epoch from anchor.earliest_at - interval '{{ far_s }} seconds') / {{ span_s }})::int,
        floor(extract(epoch from anchor.latest_at + interval '{{ far_s }} seconds') / {{ span_s }})::int
    ) as span (span)
    {%- if reach == 'far' %}
    where anchor.user_id in (select user_id from named_scrobbles as scrobble where {{ condition }})
    {%- endif %}
),

{{ reach }}_anchors as materialized (
    {%- if reach == 'near' %}
    select anchor.*, -1 as part_of_hour
    from near_spans as anchor
    {%- else %}
    -- For a track on loop all day, only what a wrong zone would explain is considered: a play in the same part of
    -- another hour, or in a neighbouring part, since both times are truncated to a minute at most and so are no more
    -- than 90 s apart.
    select anchor.*, -1 as part_of_hour
    from far_spans as anchor
    where plays_of_span <= {{ var('most_far_candidates') }}
    union all
    select anchor.*, {{ part_of_hour("coalesce(anchor.start_at, anchor.end_at) + near.by * interval '120 seconds'") }}
    from far_spans as anchor
    cross join (values (-1), (0), (1)) as near (by)
    where plays_of_span > {{ var('most_far_candidates') }}
    {%- endif %}
),

{{ reach }}_scrobbles as materialized (
    select
        scrobble.*,
        floor(extract(epoch from scrobble.start_at) / {{ span_s }})::int as span,
        part.part_of_hour
    from named_scrobbles as scrobble
    cross join lateral (
        values (-1){{ ', (' ~ part_of_hour('scrobble.start_at') ~ ')' if reach == 'far' }}
    ) as part (part_of_hour)
    where {{ condition }}
),

{{ reach }}_meetings as (
    select
        scrobble.played_at as scrobbled_at,
        scrobble.event_id as scrobble_id,
        scrobble.content_id as scrobbled_id,
        scrobble.source_id as scrobble_source_id,
        scrobble.ms_played,
        scrobble.platform as scrobble_platform,
        scrobble.origin as scrobble_origin,
        scrobble.artist as scrobble_artist,
        length(scrobble.title) >= 8 as says_enough,
        scrobble.may_be_off_s,
        scrobble.half_open as scrobble_half_open,
        scrobble.start_at as scrobble_start_at,
        {{ anchor_columns }},
        {{ 'anchor.plays_of_span <= 3' if reach == 'far' else 'true' }} as is_rare
    from {{ reach }}_scrobbles as scrobble
    inner join {{ reach }}_anchors as anchor
        on
            anchor.user_id = scrobble.user_id
            and anchor.span = scrobble.span
            and anchor.title = scrobble.title
            and anchor.part_of_hour = scrobble.part_of_hour
    where
        {%- if reach == 'far' %}
        (
            anchor.plays_of_span <= {{ var('most_far_candidates') }}
            or abs(
                mod(extract(epoch from scrobble.start_at - coalesce(anchor.start_at, anchor.end_at)) + 180000, 3600) - 1800
            )
            >= 1770 - extract(epoch from scrobble.half_open + anchor.half_open)
        )
        and
        {%- endif %}
        (anchor.rank, anchor.origin) < (scrobble.rank, scrobble.origin)
        and scrobble.start_at
        >= anchor.earliest_at - scrobble.half_open - anchor.half_open - scrobble.may_be_off_s * interval '1 second'
        - {{ longest_delay() }}
        and scrobble.start_at
        <= anchor.latest_at + scrobble.half_open + anchor.half_open + scrobble.may_be_off_s * interval '1 second'
        + {{ longest_delay() }}
),
{%- endfor %}

-- A row of a removed track says when it was played, but not what.
nameless_meetings as (
    select
        scrobble.played_at as scrobbled_at,
        scrobble.event_id as scrobble_id,
        scrobble.content_id as scrobbled_id,
        scrobble.source_id as scrobble_source_id,
        scrobble.ms_played,
        scrobble.platform as scrobble_platform,
        scrobble.origin as scrobble_origin,
        scrobble.artist as scrobble_artist,
        length(scrobble.title) >= 8 as says_enough,
        scrobble.may_be_off_s,
        scrobble.half_open as scrobble_half_open,
        scrobble.start_at as scrobble_start_at,
        {{ anchor_columns }},
        true as is_rare
    from named_scrobbles as scrobble
    inner join (
        select anchor.*, span.span
        from named_anchors as anchor
        cross join lateral generate_series(
            floor(extract(epoch from anchor.start_at - {{ longest_delay() }}) / 10800)::int,
            floor(extract(epoch from anchor.start_at + {{ longest_delay() }}) / 10800)::int
        ) as span (span)
        where anchor.content_id is null
    ) as anchor
        on
            anchor.user_id = scrobble.user_id
            and anchor.span = floor(extract(epoch from scrobble.start_at) / 10800)::int
    where
        scrobble.may_be_off_s <= 60
        and scrobble.start_at between anchor.start_at - {{ longest_delay() }} and anchor.start_at + {{ longest_delay() }}
),

meetings as (
    select * from near_meetings
    union all
    select * from far_meetings
    union all
    select * from nameless_meetings
),

ranked_meetings as (
    select *, row_number() over (
        partition by user_id, scrobble_id, source_id, origin, is_long
        order by abs(extract(epoch from scrobble_start_at - coalesce(start_at, end_at))::float8), played_at, event_id
    ) as place
    from meetings
),

scrobble_candidates as (
    select
        user_id,
        scrobbled_at as played_at,
        scrobble_id as event_id,
        scrobbled_id as content_id,
        scrobble_source_id as source_id,
        scrobble_origin as origin,
        ms_played,
        event_id as play_id,
        played_at as play_played_at,
        source_id as play_source_id,
        scrobble_platform as platform,
        platform as play_platform,
        content_id is not null as is_named,
        says_enough
        or coalesce(starts_with(scrobble_artist, artist) or starts_with(artist, scrobble_artist), true) as is_same_song,
        is_rare,
        is_long,
        extract(epoch from half_open + scrobble_half_open)::float8 as half_open_s,
        extract(epoch from scrobble_start_at - end_at)::float8 as after_end_s,
        extract(epoch from scrobble_start_at - start_at)::float8 as after_start_s,
        null::float8 as after_sound_s,
        extract(epoch from length)::float8 as length_s
    from ranked_meetings
    where place <= case when may_be_off_s <= 60 then {{ var('most_candidates') }} else {{ var('most_far_candidates') }} end
)
{%- endmacro %}

{# Which two minutes of its hour, from 0 to 29; a device's wrong time zone does not change that. #}
{% macro part_of_hour(moment) -%}
    floor(mod(extract(epoch from {{ moment }}), 3600) / 120)::int
{%- endmacro %}
