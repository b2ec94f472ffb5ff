-- The recording of a track, for this user.
select
    coalesce(
        (
            select recording_id from marts.bridge_user_recordings
            where user_id = %(user_id)s and track_id = %(id)s
        ),
        (select recording_id from marts.dim_tracks where track_id = %(id)s)
    ) as recording_id
