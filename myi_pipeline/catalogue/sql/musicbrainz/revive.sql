-- Answers that are out of date, and tracks that were not found but about which more is known now.
update ops.musicbrainz_queue as q
set state = 'waiting', failures = 0, due_at = %(now)s
from (
    select old.entry_id
    from ops.musicbrainz_queue as old
    where old.state <> 'waiting' and old.due_at <= %(now)s
    union
    select missed.entry_id
    from ops.musicbrainz_queue as missed
    inner join raw.contents as c on c.content_id = missed.content_id
    left join raw.artists as a on a.artist_id = c.artist_id
    where
        missed.state = 'not_found'
        and missed.asked_with is distinct from md5(
            concat_ws('|', c.isrc, c.recording_mbid, c.duration_ms, c.title, coalesce(a.name, c.creator))
        )::uuid
) as again
where q.entry_id = again.entry_id
