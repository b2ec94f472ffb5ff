{{ config(materialized='view', meta={'security_invoker': true}) }}

-- A song that is on a list twice was not heard twice, whether as one track or as two; and any of its tracks counts,
-- because lists of another service name others.
with listed as (
    select distinct
        item.user_id,
        item.playlist_id,
        coalesce(decided.recording_id, track.recording_id, item.content_id) as song_id
    from {{ ref('fct_playlist_items') }} as item
    left join {{ ref('dim_tracks') }} as track on track.track_id = item.content_id
    left join {{ ref('bridge_user_recordings') }} as decided
        on decided.user_id = item.user_id and decided.track_id = item.content_id
    where item.content_id is not null
),

members as (
    select listed.*, track.track_id as content_id
    from listed
    inner join {{ ref('dim_tracks') }} as track on track.recording_id = listed.song_id
    where
        not exists (
            select from {{ ref('bridge_user_recordings') }} as decided
            where decided.user_id = listed.user_id and decided.track_id = track.track_id
        )
    union all
    select listed.*, decided.track_id
    from listed
    inner join {{ ref('bridge_user_recordings') }} as decided
        on decided.user_id = listed.user_id and decided.recording_id = listed.song_id
    union all
    -- Episodes and chapters.
    select listed.*, listed.song_id
    from listed
    where not exists (select from {{ ref('dim_tracks') }} as track where track.track_id = listed.song_id)
)

select
    members.user_id,
    members.playlist_id,
    {{ month_of('play.local_date') }} as month_start,
    count(distinct members.song_id)::int as contents,
    count(*)::int as plays,
    (count(*) filter (where play.is_counted))::int as counted_plays,
    coalesce(sum(play.ms_played), 0)::bigint as ms_played
from members
inner join {{ ref('fct_plays') }} as play
    on play.user_id = members.user_id and play.content_id = members.content_id
group by members.user_id, members.playlist_id, {{ month_of('play.local_date') }}
