-- Ordered by content_id, by which the rules decide between equals.
select
    c.content_key as content,
    k.kind,
    c.uri,
    c.title,
    c.creator,
    c.collection,
    c.match_title,
    c.match_key,
    a.artist_key as artist,
    b.album_key as album,
    c.duration_ms,
    c.isrc,
    c.recording_mbid,
    c.disc_number,
    c.track_number,
    c.names_played_at,
    c.names_batch_id as names_batch
from wanted_contents as w
inner join raw.contents as c on c.content_id = w.content_id
inner join raw.content_kinds as k on k.kind_id = c.kind_id
left join raw.artists as a on a.artist_id = c.artist_id
left join raw.albums as b on b.album_id = c.album_id
order by c.content_id
