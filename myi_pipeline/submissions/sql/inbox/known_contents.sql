-- Contents of which nothing that is told here is news; of the others nothing is said.
select c.content_key, c.content_id
from raw.contents as c
inner join jsonb_to_recordset(%(contents)s) as p (
    content_key uuid, title text, isrc text, recording_mbid uuid, duration_ms int
) on p.content_key = c.content_key
where
    (c.title is not null or p.title is null)
    and (c.isrc is not null or p.isrc is null)
    and (c.recording_mbid is not null or p.recording_mbid is null)
    and (c.duration_ms is not null or p.duration_ms is null)
