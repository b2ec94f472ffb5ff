select a.artist_key as artist, a.name, a.uri
from wanted_artists as w
inner join raw.artists as a on a.artist_id = w.artist_id
order by a.artist_id
