select
    page.entity_kind as kind,
    page.entity_id as id,
    coalesce(track.uri, artist.uri, album.uri) as uri,
    coalesce(track.name, artist.name, album.name) as name,
    coalesce(track.artist_name, maker.name) as artist_name,
    page.first_played_at,
    page.first_local_date,
    page.play_id::text as play_id
from (
    select *
    from marts.fct_first_plays
    where
        user_id = %(user_id)s
        and entity_kind = %(kind)s
        and first_played_at >= %(from_at)s
        and first_played_at < %(to_at)s
        and (first_played_at, entity_id) < (%(after_first_played_at)s, %(after_id)s)
    order by first_played_at desc, entity_id desc
    limit %(limit)s
) as page
left join marts.dim_tracks as track on page.entity_kind = 'track' and track.track_id = page.entity_id
left join marts.dim_artists as artist on page.entity_kind = 'artist' and artist.artist_id = page.entity_id
left join marts.dim_albums as album on page.entity_kind = 'album' and album.album_id = page.entity_id
left join marts.dim_artists as maker on maker.artist_id = album.artist_id
order by page.first_played_at desc, page.entity_id desc
