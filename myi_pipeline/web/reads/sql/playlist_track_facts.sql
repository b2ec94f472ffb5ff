select content.content_id, content.collection as album, track.duration_ms
from marts.dim_contents as content
left join marts.dim_tracks as track on track.track_id = content.content_id
where content.content_id = any(%(content_ids)s)
