-- Spotify's own list as it stood on the last day, up to the one asked for, that has one.
select
    listed.snapshot_date,
    listed.rank::int as rank,
    listed.entity_id as id,
    coalesce(track.uri, artist.uri) as uri,
    coalesce(track.name, artist.name) as name,
    track.artist_name
from marts.fct_top_ranks as listed
left join marts.dim_tracks as track on listed.entity_kind = 'track' and track.track_id = listed.entity_id
left join marts.dim_artists as artist on listed.entity_kind = 'artist' and artist.artist_id = listed.entity_id
where
    listed.user_id = %(user_id)s
    and listed.entity_kind = %(kind)s
    and listed.term = %(term)s
    and listed.snapshot_date = (
        select last.snapshot_date
        from marts.fct_top_ranks as last
        where
            last.user_id = %(user_id)s
            and last.entity_kind = %(kind)s
            and last.term = %(term)s
            and last.snapshot_date <= %(day)s
        order by last.snapshot_date desc
        limit 1
    )
order by listed.rank
