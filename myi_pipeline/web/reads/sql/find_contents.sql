-- What this user played whose title, artist and album hold every word. Bounded by how many tracks the user ever played
-- (one row each in the lists of all time) and by the catalogue's episodes and chapters, never by plays.
select heard.track_id as content_id
from marts.agg_period_tracks as heard
inner join marts.dim_contents as content on content.content_id = heard.track_id
where
    heard.user_id = %(user_id)s
    and heard.period = 'all'
    and heard.period_start = date '1970-01-01'
    and concat_ws(' ', content.title, content.creator, content.collection) ilike all (%(patterns)s::text [])
union all
select content.content_id
from marts.dim_contents as content
where
    content.kind <> 'track'
    and concat_ws(' ', content.title, content.creator, content.collection) ilike all (%(patterns)s::text [])
    and exists (
        select from marts.fct_plays as play
        where play.user_id = %(user_id)s and play.content_id = content.content_id
    )
limit %(limit)s
