-- What is known about tracks: their content_id; whether they say something that the catalogue lacks (is_news); and
-- whether their names are the same as those stored, but from a later play (is_later).
select
    p.content_key::text as content_key,
    c.content_id,
    c.content_id is null
    or (
        p.title is not null
        and (c.title, c.creator, c.collection) is distinct from (p.title, p.creator, p.collection)
        and (c.title is null or (p.played_at, %(batch_id)s) > (c.names_played_at, c.names_batch_id))
    )
    or p.duration_ms <> coalesce(c.duration_ms, 0)
    or p.isrc <> coalesce(c.isrc, '')
    or (p.artist_uri is not null and p.creator = c.creator and (a.uri, a.name) is distinct from (p.artist_uri, p.creator))
    or (
        p.album_uri is not null and p.creator = c.creator and p.collection = c.collection
        and (
            (b.uri, b.name) is distinct from (p.album_uri, p.collection)
            or p.disc_number <> coalesce(c.disc_number, 0)
            or p.track_number <> coalesce(c.track_number, 0)
        )
    )
    or (p.album_uri = b.uri and p.total_tracks <> coalesce(b.total_tracks, 0))
    or (p.album_uri = b.uri and p.release_year <> coalesce(b.release_year, 0))
    or (
        p.has_pictures and b.album_id is not null
        and not exists (select from raw.pictures as i where i.entity_kind = 'album' and i.entity_id = b.album_id)
    ) as is_news,
    -- Batches are not compared: reading the same window again would rewrite all its tracks for nothing.
    p.played_at > c.names_played_at
    and (c.title, c.creator, c.collection) is not distinct from (p.title, p.creator, p.collection) as is_later
from jsonb_to_recordset(%(tracks)s) as p (
    content_key uuid, title text, creator text, collection text, played_at timestamptz,
    duration_ms int, isrc text, artist_uri text, album_uri text, has_pictures boolean,
    disc_number smallint, track_number smallint, total_tracks int, release_year smallint
)
left join raw.contents as c on c.content_key = p.content_key
left join raw.artists as a on a.artist_id = c.artist_id
left join raw.albums as b on b.album_id = c.album_id
