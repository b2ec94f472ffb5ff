-- Each content's id, if it has one, and whether the scrobbles say anything that the catalogue lacks.
select
    s.content_key,
    c.content_id,
    c.content_id is null
    or (c.title is null and s.title is not null)
    or (c.isrc is null and s.isrc is not null)
    or (c.recording_mbid is null and s.recording_mbid is not null)
    or (c.duration_ms is null and s.duration_ms is not null) as is_news
from jsonb_to_recordset(%(contents)s) as s (
    content_key uuid, title text, isrc text, recording_mbid uuid, duration_ms int
)
left join raw.contents as c on c.content_key = s.content_key
