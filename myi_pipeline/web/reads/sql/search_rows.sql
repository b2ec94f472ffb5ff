-- The names of what a search found, in its order.
select
    hit.kind,
    hit.id,
    coalesce(artist.uri, track.uri, album.uri, case when hit.kind = 'episode' then content.uri end) as uri,
    case hit.kind
        when 'artist' then artist.name
        when 'track' then track.name
        when 'album' then album.name
        when 'episode' then content.title
        when 'show' then content.collection
    end as name,
    coalesce(track.artist_id, album.artist_id) as artist_id,
    coalesce(track.artist_name, albums_artist.name, content.creator) as artist_name,
    track.album_id,
    coalesce(track.album_name, case when hit.kind = 'episode' then content.collection end) as album_name,
    coalesce(artist.picture_sha256, album.picture_sha256, tracks_album.picture_sha256) as picture
from unnest(%(kinds)s::text [], %(ids)s::int []) with ordinality as hit (kind, id, place)
left join marts.dim_artists as artist on hit.kind = 'artist' and artist.artist_id = hit.id
left join marts.dim_tracks as track on hit.kind = 'track' and track.track_id = hit.id
left join marts.dim_albums as tracks_album on tracks_album.album_id = track.album_id
left join marts.dim_albums as album on hit.kind = 'album' and album.album_id = hit.id
left join marts.dim_artists as albums_artist on albums_artist.artist_id = album.artist_id
left join marts.dim_contents as content on hit.kind in ('episode', 'show') and content.content_id = hit.id
order by hit.place
