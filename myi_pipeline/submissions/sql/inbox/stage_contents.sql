create temporary table submitted_contents on commit drop as
select p.*
from jsonb_to_recordset(%(contents)s) as p (
    content_key uuid, kind_id smallint, uri text, title text, creator text, collection text, match_title text,
    match_key uuid, artist_key uuid, album_key uuid, isrc text, recording_mbid uuid, duration_ms int,
    played_at timestamptz
);
