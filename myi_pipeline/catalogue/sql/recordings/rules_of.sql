-- All tracks in the recordings of these tracks, according to the rules.
select mates.content_id, mates.recording_id, c.uri is null as is_nameless
from ops.content_recordings as mates
inner join raw.contents as c on c.content_id = mates.content_id
where
    mates.recording_id in (
        select its.recording_id from ops.content_recordings as its where its.content_id = any(%(ids)s::int[])
    )
