-- A view over one table, without a join: conditions on keys, times, dates and kinds are conditions on its own columns.
{{ config(materialized='view', meta={'security_invoker': true}) }}

select
    play.user_id,
    play.play_id,
    play.played_at,
    {{ began('play') }} as started_at,
    play.local_date,
    play.local_hour,
    case when play.ms_played is not null then play.local_date - coalesce(play.started_days_before, 0) end
        as started_local_date,
    (play.flags & 1) <> 0 as is_counted,
    play.ms_played,
    play.content_id,
    play.artist_id,
    play.album_id,
    play.context_id,
    play.kind,
    {{ name_of_source('play.source_id') }} as source,
    play.confirmed_by,
    {{ flag('play', 'shuffle') }} as shuffle,
    {{ flag('play', 'skipped') }} as skipped,
    {{ flag('play', 'offline') }} as offline,
    {{ flag('play', 'incognito') }} as incognito,
    play.offline_at
from {{ ref('fct_plays_stored') }} as play
