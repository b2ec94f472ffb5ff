-- All tracks that share a recording with any of these.
select distinct mates.content_id
from ops.content_recordings as its
inner join ops.content_recordings as mates on mates.recording_id = its.recording_id
where its.content_id = any(%(ids)s::int[])
