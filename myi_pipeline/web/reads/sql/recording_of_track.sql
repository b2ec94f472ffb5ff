coalesce(
            (
                select decided.recording_id from marts.bridge_user_recordings as decided
                where decided.user_id = %(user_id)s and decided.track_id = heard.track_id
            ),
            (select its.recording_id from marts.dim_tracks as its where its.track_id = heard.track_id),
            heard.track_id
        )