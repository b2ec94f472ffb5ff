select
    bridge.genre_id,
    genre.name,
    bridge.votes
from marts.bridge_artist_genres as bridge
inner join marts.dim_genres as genre on genre.genre_id = bridge.genre_id
where bridge.artist_id = %(artist_id)s
order by bridge.place
