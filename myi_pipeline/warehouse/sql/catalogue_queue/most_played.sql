-- As the marts have it: what is played most and lacks what only Spotify knows. Read with the analyst's rights.
(
    select
        'track' as entity_kind,
        p.track_id as entity_id,
        p.plays
    from (
        select
            track_id,
            sum(plays)::bigint as plays
        from marts.agg_period_tracks
        where period = 'all' and period_start = date '1970-01-01'
        group by track_id
    ) as p
    inner join marts.dim_tracks as t on t.track_id = p.track_id
    where t.uri is not null and (t.duration_ms is null or t.isrc is null)
    order by p.plays desc, p.track_id
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
union all
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
