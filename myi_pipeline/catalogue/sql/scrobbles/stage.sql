-- Names of contents with a Spotify URI are taken from a scrobble only as long as Spotify has given none, so they are
-- dated as early as possible.
create temporary table scrobbled_contents on commit drop as
select
    s.content_key,
    s.kind_id,
    s.uri,
    s.title,
    s.creator,
    s.collection,
    s.match_title,
    s.match_key,
    s.artist_key,
    s.album_key,
    s.isrc,
    s.recording_mbid,
    s.duration_ms,
    case when s.uri is null then s.played_at else '1970-01-01 00:00:00+00' end as played_at
from jsonb_to_recordset(%(contents)s) as s (
    content_key uuid, kind_id smallint, uri text, title text, creator text, collection text, match_title text,
    match_key uuid, artist_key uuid, album_key uuid, isrc text, recording_mbid uuid, duration_ms int, played_at timestamptz
);
