-- Other lists that share songs with one, each once. A song is the same one, whichever service's track stands for it, and
-- what the listener decided of it wins.
with mine as (
    select distinct coalesce(decided.recording_id, track.recording_id, item.content_id) as song_id
    from marts.fct_playlist_items as item
    left join marts.dim_tracks as track on track.track_id = item.content_id
    left join marts.bridge_user_recordings as decided
        on decided.user_id = %(user_id)s and decided.track_id = item.content_id
    where
        item.user_id = %(user_id)s
        and item.playlist_id = %(playlist_id)s
        and item.content_id is not null
),

songs as (
    select mine.song_id, sibling.track_id as content_id
    from mine
    inner join marts.dim_tracks as sibling on sibling.recording_id = mine.song_id
    where
        not exists (
            select from marts.bridge_user_recordings as decided
            where decided.user_id = %(user_id)s and decided.track_id = sibling.track_id
        )
    union all
    select mine.song_id, decided.track_id
    from mine
    inner join marts.bridge_user_recordings as decided
        on decided.user_id = %(user_id)s and decided.recording_id = mine.song_id
    union all
    -- Episodes and chapters.
    select mine.song_id, mine.song_id
    from mine
    where not exists (select from marts.dim_tracks as track where track.track_id = mine.song_id)
),

shared as (
    select other.playlist_id, count(distinct songs.song_id)::int as songs
    from songs
    inner join marts.fct_playlist_items as other
        on other.user_id = %(user_id)s and other.content_id = songs.content_id
    where other.playlist_id <> %(playlist_id)s
    group by other.playlist_id
)

select
    listed.playlist_id,
    listed.name,
    listed.provider,
    listed.account_id,
    listed.provider = 'file' and starts_with(listed.provider_playlist, '/') as is_made,
    listed.items,
    shared.songs
from shared
inner join marts.dim_playlists as listed on listed.playlist_id = shared.playlist_id
where listed.user_id = %(user_id)s and listed.state <> 'gone'
order by shared.songs desc, listed.playlist_id desc
limit %(limit)s
