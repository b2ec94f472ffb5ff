-- The contents of plays are in dim_contents, and those of tracks also in dim_tracks, except contents that arrived after
-- the last mart run began.
select distinct
    plays.user_id,
    plays.content_id
from {{ last_touched_rows(ref('fct_plays')) }} as plays
left join {{ ref('dim_contents') }} as contents on contents.content_id = plays.content_id
left join {{ ref('dim_tracks') }} as tracks on tracks.track_id = plays.content_id
where
    plays.content_id is not null
    and (contents.content_id is null or (plays.kind = 'track' and tracks.track_id is null))
    and plays.content_id not in (select content_id from {{ source('ops', 'changed_contents') }})
