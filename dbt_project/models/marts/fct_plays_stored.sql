-- What fct_plays shows, in as few bytes as possible: wide columns first, so that none is padded; the source by its id;
-- booleans as bits; no started_at, which is a subtraction, and its date only if it differs.
-- depends_on: {{ ref('int_plays__resolved') }}
-- depends_on: {{ ref('stg_raw__listening_events') }}
-- depends_on: {{ ref('int_plays__matched') }}
-- depends_on: {{ ref('int_plays__paired') }}
-- depends_on: {{ ref('int_plays__polled_again') }}
-- depends_on: {{ ref('stg_raw__sources') }}
{{ config(
    pre_hook="{{ hash_joins_of_many_days() }}",
    meta={'slices': 'run_days', 'order_by': 'user_id, played_at, play_id', 'touches': true, 'moves': true},
    indexes=[
        {'columns': ['user_id', 'played_at', 'play_id'], 'unique': true},
        {'columns': ['content_id', 'user_id', 'played_at']},
        {'columns': ['artist_id', 'user_id', 'played_at']},
    ],
    post_hook=["{{ index_moved_plays() }}", "{{ index_plays_of_shows() }}"],
) }}
{#- A player's log also lists what was skipped. -#}
{%- set reports_counted = '((sources.reports_counted and plays.skipped is not true) or plays.is_reported)' %}

with events as (
    {%- if is_incremental() %}
    select * from ({{ resolution(is_of_run_days=true) }}) as resolved
    {%- else %}
    select * from {{ ref('int_plays__resolved') }}
    {%- endif %}
),

corrected as (
    select * from {{ in_run_days(ref('int_plays__corrected')) }} as play
),

plays as (
    select
        event.play_id,
        event.user_id,
        event.play_ms_played,
        event.is_reported,
        event.context_id,
        event.source_id,
        event.shuffle,
        event.skipped,
        event.offline,
        event.incognito,
        event.confirmed_by,
        event.offline_at,
        event.played_at + coalesce(corrected.shift_s, 0) * interval '1 second' as played_at,
        case when corrected.shift_s is not null then event.played_at end as reported_at,
        coalesce(corrected.to_content_id, event.play_content_id) as heard_content_id,
        case when corrected.to_content_id is not null then corrected.content_id end as reported_content_id,
        case when corrected.withheld = 'hidden' then true end as is_hidden
    from events as event
    left join corrected
        on
            corrected.user_id = event.user_id
            and corrected.played_at = event.played_at
            and corrected.play_id = event.play_id
    where
        event.is_canonical
        and corrected.withheld is distinct from 'deleted'
        -- Their local days are unknown; one of them would fail the whole model.
        and event.user_id not in (select user_id from {{ source('ops', 'held_back_users') }})
),

contents as (
    select * from {{ ref('stg_raw__contents') }}
),

zones as (
    select * from {{ ref('stg_app__user_time_zones') }}
),

sources as (
    select * from {{ ref('stg_raw__sources') }}
)

select
    plays.played_at,
    plays.play_id,
    plays.user_id,
    plays.play_ms_played as ms_played,
    contents.content_id,
    contents.artist_id,
    contents.album_id,
    plays.context_id,
    (plays.played_at at time zone zones.time_zone)::date as local_date,
    extract(hour from plays.played_at at time zone zones.time_zone)::smallint as local_hour,
    plays.source_id,
    {{ packed_flags(
        'plays',
        is_counted=is_counted('plays.play_ms_played', 'contents.duration_ms', reports_counted),
        tells_start="sources.clock = 'start'"
    ) }} as flags,
    coalesce(contents.kind, 'unknown') as kind,
    nullif(
        (plays.played_at at time zone zones.time_zone)::date
        - ({{ began('plays.played_at', 'plays.play_ms_played', "sources.clock = 'start'") }} at time zone zones.time_zone)::date,
        0
    )::smallint as started_days_before,
    plays.confirmed_by,
    plays.offline_at,
    plays.reported_at,
    plays.reported_content_id,
    plays.is_hidden
from plays
inner join zones
    on zones.user_id = plays.user_id and plays.played_at >= zones.valid_from and plays.played_at < zones.valid_until
inner join sources on sources.source_id = plays.source_id
left join contents as named on named.content_id = plays.heard_content_id
left join contents on contents.content_id = named.canonical_id
{% if not is_incremental() %}
-- A listener's plays in order of time: parallel workers would mix them, and a year of 75,000 plays would be read in 55
-- ms instead of 20. The sort costs as much as it saves in the sums over days and sessions, which need that order.
order by plays.user_id, plays.played_at, plays.play_id
{% endif %}
