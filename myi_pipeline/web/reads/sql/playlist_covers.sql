-- What services put together for a list without a picture of its own: four covers of its first albums, of those that
-- this person has played, since no other cover is shown to them.
with listed as (
    select distinct on (wanted.playlist_id, track.album_id)
        wanted.playlist_id,
        item.position,
        track.album_id,
        album.picture_sha256 as picture
    from unnest(%(playlist_ids)s::int []) as wanted (playlist_id)
    inner join marts.fct_playlist_items as item
        on item.playlist_id = wanted.playlist_id and item.position < %(positions)s
    inner join marts.dim_tracks as track on track.track_id = item.content_id
    inner join marts.dim_albums as album on album.album_id = track.album_id
    where
        item.user_id = %(user_id)s
        and album.picture_sha256 is not null
        and exists (
            select from marts.agg_period_albums as heard
            where
                heard.user_id = %(user_id)s
                and heard.album_id = track.album_id
                and heard.period = 'all'
                and heard.period_start = date '1970-01-01'
        )
    order by wanted.playlist_id, track.album_id, item.position
),

placed as (
    select
        listed.*,
        row_number() over (partition by listed.playlist_id order by listed.position) as place
    from listed
)

select placed.playlist_id, placed.album_id, placed.picture
from placed
where placed.place <= 4
order by placed.playlist_id, placed.place
