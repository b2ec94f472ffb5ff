-- What is played most according to the marts, per kind; of tracks, only those that lack what only Spotify knows. Run with
-- the analyst's rights.
with tracks as (
    select
        p.track_id,
        sum(p.plays)::bigint as plays
    from marts.agg_period_tracks as p
    inner join marts.dim_tracks as t on t.track_id = p.track_id
    where
        'track' = any(%(kinds)s)
        and p.period = 'all' and p.period_start = date '1970-01-01'
        and t.uri is not null and (t.duration_ms is null or t.isrc is null)
    group by p.track_id
),

artists as (
    select
        artist_id,
        sum(plays)::bigint as plays
    from marts.agg_period_artists
    where 'artist' = any(%(kinds)s) and period = 'all' and period_start = date '1970-01-01'
    group by artist_id
),

albums as (
    select
        album_id,
        sum(plays)::bigint as plays
    from marts.agg_period_albums
    where 'album' = any(%(kinds)s) and period = 'all' and period_start = date '1970-01-01'
    group by album_id
),

ranked as (
    select
        *,
        row_number() over (partition by entity_kind order by plays desc, entity_id) as place
    from (
        select 'track' as entity_kind, track_id as entity_id, plays from tracks
        union all
        select 'artist', artist_id, plays from artists
        union all
        select 'album', album_id, plays from albums
    ) as entities
)

select
    entity_kind,
    entity_id,
    plays
from ranked
where place <= %(most)s
order by array_position(%(kinds)s, entity_kind), place
