select b.album_key as album, a.artist_key as artist, b.name, b.uri, b.total_tracks, b.release_year
from wanted_albums as w
inner join raw.albums as b on b.album_id = w.album_id
inner join raw.artists as a on a.artist_id = b.artist_id
order by b.album_id
