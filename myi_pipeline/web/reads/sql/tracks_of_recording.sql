select its.track_id
            from marts.dim_tracks as its
            where
                its.recording_id = %(id)s
                and not exists (
                    select from marts.bridge_user_recordings as decided
                    where decided.user_id = %(user_id)s and decided.track_id = its.track_id
                )
            union all
            select decided.track_id
            from marts.bridge_user_recordings as decided
            where decided.user_id = %(user_id)s and decided.recording_id = %(id)s