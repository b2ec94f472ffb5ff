-- As the marts have it, the most played first: albums, because every played track shows one, then artists. Read with the
-- analyst's rights.
(
    select
        'album' as entity_kind,
        album_id as entity_id,
        sum(plays)::bigint as plays
    from marts.agg_period_albums
    where period = 'all' and period_start = date '1970-01-01'
    group by album_id
    order by plays desc, album_id
    limit %(most)s
)
union all
(
    select
        'artist' as entity_kind,
        artist_id as entity_id,
        sum(plays)::bigint as plays
    from marts.agg_period_artists
    where period = 'all' and period_start = date '1970-01-01'
    group by artist_id
    order by plays desc, artist_id
    limit %(most)s
)
order by entity_kind, plays desc, entity_id
