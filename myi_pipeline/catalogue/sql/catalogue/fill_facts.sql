-- Facts that only Spotify gives. Artist, album and position on the album apply only if the content has these names.
update raw.contents as c
set
    duration_ms = p.duration_ms,
    isrc = p.isrc,
    artist_id = p.artist_id,
    album_id = p.album_id,
    disc_number = p.disc_number,
    track_number = p.track_number
from (
    select distinct on (known.content_id)
        known.content_id,
        coalesce(q.duration_ms, known.duration_ms) as duration_ms,
        coalesce(q.isrc, known.isrc) as isrc,
        case when q.creator = known.creator then coalesce(a.artist_id, known.artist_id) else known.artist_id end
            as artist_id,
        case
            when q.creator = known.creator and q.collection = known.collection then coalesce(b.album_id, known.album_id)
            else known.album_id
        end as album_id,
        case
            when q.creator = known.creator and q.collection = known.collection then coalesce(q.disc_number, known.disc_number)
            else known.disc_number
        end as disc_number,
        case
            when q.creator = known.creator and q.collection = known.collection then coalesce(q.track_number, known.track_number)
            else known.track_number
        end as track_number
    from pg_temp.polled_contents as q
    inner join raw.contents as known on known.content_key = q.content_key
    left join raw.artists as a on a.uri = q.artist_uri
    left join raw.albums as b on b.uri = q.album_uri
    order by known.content_id, q.played_at desc
) as p
where
    c.content_id = p.content_id
    and (c.duration_ms, c.isrc, c.artist_id, c.album_id, c.disc_number, c.track_number)
    is distinct from (p.duration_ms, p.isrc, p.artist_id, p.album_id, p.disc_number, p.track_number)
