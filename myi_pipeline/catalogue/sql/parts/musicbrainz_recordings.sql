select
    r.recording_mbid,
    r.title,
    r.length_ms,
    r.first_release_date,
    r.release_mbid,
    r.release_name,
    r.told_at,
    (
        select
            json_agg(
                json_build_object(
                    'place', c.place,
                    'artist_mbid', c.artist_mbid,
                    'artist', a.name,
                    'artist_told_at', a.told_at,
                    'credited_as', c.credited_as,
                    'join_phrase', c.join_phrase
                )
                order by c.place
            )
        from raw.musicbrainz_credits as c
        inner join raw.musicbrainz_artists as a on a.artist_mbid = c.artist_mbid
        where c.recording_mbid = r.recording_mbid
    ) as credits
from raw.musicbrainz_recordings as r
where
    r.recording_mbid in (
        select f.recording_mbid
        from wanted_contents as w
        inner join raw.found_recordings as f on f.content_id = w.content_id
    )
order by r.recording_mbid
