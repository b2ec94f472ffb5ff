-- The tracks of a recording that this user has heard, and why each is there.
select
    %(id)s::int as recording_id,
    track.track_id,
    track.uri,
    track.name,
    track.artist_id,
    track.artist_name,
    track.album_id,
    track.album_name,
    track.duration_ms,
    track.isrc,
    heard.plays,
    heard.counted_plays,
    heard.ms_played,
    case when decided.track_id is null then track.recording_confidence end as confidence,
    case when decided.track_id is null then track.recording_reason else 'decided' end as reason
from (
    {% include 'tracks_of_recording.sql' %}
) as member
inner join marts.dim_tracks as track on track.track_id = member.track_id
left join marts.bridge_user_recordings as decided
    on decided.user_id = %(user_id)s and decided.track_id = member.track_id
cross join lateral (
    select plays, counted_plays, ms_played
    from marts.agg_period_tracks_stored
    where user_id = %(user_id)s and track_id = member.track_id and period_start = date '1970-01-01'
    offset 0
) as heard
order by heard.counted_plays desc, heard.ms_played desc, track.track_id
