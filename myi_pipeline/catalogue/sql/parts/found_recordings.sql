select c.content_key as content, f.recording_mbid, f.found_by, f.found_at
from wanted_contents as w
inner join raw.found_recordings as f on f.content_id = w.content_id
inner join raw.contents as c on c.content_id = w.content_id
order by c.content_id
