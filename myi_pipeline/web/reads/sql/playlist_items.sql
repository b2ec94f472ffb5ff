-- What is heard of each is that of all plays of the song, as whichever of its tracks and wherever they were played from.
select
    item.position,
    item.kind,
    item.content_id,
    content.uri,
    coalesce(content.title, item.title) as title,
    coalesce(content.creator, item.artist) as creator,
    content.collection,
    item.added_at,
    item.added_by,
    coalesce(heard.plays, 0)::int as plays,
    coalesce(heard.counted_plays, 0)::int as counted_plays,
    heard.last_played_at
from marts.fct_playlist_items as item
left join marts.dim_contents as content on content.content_id = item.content_id
left join lateral (
    select coalesce(decided.recording_id, track.recording_id) as recording_id
    from marts.dim_tracks as track
    left join marts.bridge_user_recordings as decided
        on decided.user_id = %(user_id)s and decided.track_id = track.track_id
    where track.track_id = item.content_id
) as song on true
left join lateral (
    select
        count(*) as plays,
        count(*) filter (where play.is_counted) as counted_plays,
        max(play.played_at) as last_played_at
    from (
        {% filter replace('%(id)s', 'song.recording_id') %}{% include 'tracks_of_recording.sql' %}{% endfilter %}

            union all
            select item.content_id as track_id
            where song.recording_id is null
    ) as member
    inner join marts.fct_plays as play on play.user_id = %(user_id)s and play.content_id = member.track_id
) as heard on item.content_id is not null
where
    item.user_id = %(user_id)s
    and item.playlist_id = %(playlist_id)s
    and item.position > %(after_position)s
order by item.position
limit %(limit)s
