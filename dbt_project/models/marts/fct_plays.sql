{{ config(
    meta={'slices': 'run_days', 'order_by': 'user_id, played_at, play_id', 'touches': true},
    indexes=[
        {'columns': ['user_id', 'play_id'], 'unique': true},
        {'columns': ['user_id', 'played_at']},
        {'columns': ['content_id', 'user_id', 'played_at']},
        {'columns': ['artist_id', 'user_id', 'played_at']},
    ],
) }}

with plays as (
    select event.*
    from {{ in_run_days(ref('int_plays__resolved')) }} as event
    where event.is_canonical
),

contents as (
    select * from {{ ref('stg_raw__contents') }}
),

users as (
    select * from {{ ref('stg_app__users') }}
),

sources as (
    select * from {{ ref('stg_raw__sources') }}
)

select
    plays.user_id,
    plays.play_id,
    plays.played_at,
    plays.played_at - plays.ms_played * interval '1 millisecond' as started_at,
    (plays.played_at at time zone users.time_zone)::date as local_date,
    extract(hour from plays.played_at at time zone users.time_zone)::smallint as local_hour,
    {{ is_counted('plays.ms_played', 'contents.duration_ms', 'sources.source') }} as is_counted,
    plays.ms_played,
    contents.content_id,
    contents.artist_id,
    contents.album_id,
    plays.context_id,
    coalesce(contents.kind, 'unknown') as kind,
    sources.source,
    plays.confirmed_by,
    plays.shuffle,
    plays.skipped,
    plays.offline,
    plays.incognito,
    plays.offline_at
from plays
inner join users on users.user_id = plays.user_id
inner join sources on sources.source_id = plays.source_id
left join contents as named on named.content_id = plays.play_content_id
left join contents on contents.content_id = named.canonical_id
