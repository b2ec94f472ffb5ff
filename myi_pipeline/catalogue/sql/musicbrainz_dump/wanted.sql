-- The codes, MBIDs and names of waiting tracks.
select
    c.isrc,
    c.recording_mbid::text as recording_mbid,
    c.title,
    coalesce(a.name, c.creator) as artist
from ops.musicbrainz_queue as q
inner join raw.contents as c on c.content_id = q.content_id
left join raw.artists as a on a.artist_id = c.artist_id
where q.state = 'waiting'
