select
    i.position,
    i.kind,
    i.content_id,
    i.added_at,
    coalesce(c.title, i.original ->> 'title', '') as title,
    coalesce(c.creator, i.original -> 'artists' ->> 0) as artist,
    -- The track's own artists: archives, and files made from them, may name the album's artist.
    coalesce(case when p.provider <> 'file' then i.artists end, credit.artists, i.artists) as artists,
    coalesce(c.collection, i.original ->> 'album') as album,
    c.isrc,
    c.recording_mbid::text as recording_mbid,
    coalesce(c.duration_ms, (i.original ->> 'duration_ms')::int) as duration_ms
from raw.playlists as p
inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id
inner join raw.playlist_items as i on i.playlist_id = v.playlist_id and i.items_key = v.items_key
left join raw.contents as c on c.content_id = i.content_id
left join lateral (
    select array_agg(m.credited_as order by m.place) as artists
    from raw.musicbrainz_credits as m
    where m.recording_mbid = c.recording_mbid
) as credit on true
where p.playlist_id = %(playlist_id)s and v.version_no = %(version_no)s and i.position > %(after)s
order by i.position
limit %(limit)s
