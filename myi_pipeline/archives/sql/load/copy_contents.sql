copy {load}_contents (
    content_no, content_key, kind_id, uri, title, creator, collection, match_title, match_key, artist_key, album_key,
    isrc, recording_mbid, duration_ms, played_at
) from stdin
