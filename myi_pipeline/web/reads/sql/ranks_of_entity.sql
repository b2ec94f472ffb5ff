-- Where one track or artist stood, newest day first.
select
    listed.snapshot_date,
    listed.rank::int as rank,
    listed.entity_id as id,
    coalesce(track.uri, artist.uri) as uri,
    coalesce(track.name, artist.name) as name,
    track.artist_name
from (
    select *
    from marts.fct_top_ranks
    where
        user_id = %(user_id)s
        and entity_kind = %(kind)s
        and entity_id = %(id)s
        and term = %(term)s
        and snapshot_date <= %(day)s
    order by snapshot_date desc
    limit 400
) as listed
left join marts.dim_tracks as track on listed.entity_kind = 'track' and track.track_id = listed.entity_id
left join marts.dim_artists as artist on listed.entity_kind = 'artist' and artist.artist_id = listed.entity_id
order by listed.snapshot_date desc
