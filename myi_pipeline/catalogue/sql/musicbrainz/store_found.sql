insert into raw.found_recordings as f (content_id, recording_mbid, found_by, found_at)
values (%(content_id)s, %(recording_mbid)s, %(found_by)s, %(now)s)
on conflict (content_id) do update
    set recording_mbid = excluded.recording_mbid, found_by = excluded.found_by, found_at = excluded.found_at
