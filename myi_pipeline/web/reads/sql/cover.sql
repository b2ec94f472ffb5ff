-- The picture of an album or artist that this user has played. One of the two branches runs.
select album.picture_sha256 as picture
from marts.dim_albums as album
where
    %(entity)s = 'album'
    and album.album_id = %(id)s
    and exists (
        select from marts.agg_period_albums as heard
        where
            heard.user_id = %(user_id)s
            and heard.album_id = %(id)s
            and heard.period = 'all'
            and heard.period_start = date '1970-01-01'
    )
union all
select artist.picture_sha256
from marts.dim_artists as artist
where
    %(entity)s = 'artist'
    and artist.artist_id = %(id)s
    and exists (
        select from marts.agg_period_artists as heard
        where
            heard.user_id = %(user_id)s
            and heard.artist_id = %(id)s
            and heard.period = 'all'
            and heard.period_start = date '1970-01-01'
    )
