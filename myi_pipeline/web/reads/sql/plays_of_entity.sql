-- The plays of one track, artist or album, by an index; those of an album or a recording are those of its tracks. Only a
-- track has an artist, so the kind is asked for where the id may be an episode's.
{%- if entity == 'album' %}
        select local_date, local_hour, is_counted, ms_played, played_at
        from marts.fct_plays
        where
            user_id = %(user_id)s
            -- As an array: one pass over the table for all tracks, in its own order, instead of one for each. A recording
            -- has a track or two, for which it would take as long.
            and content_id = any(array(select track_id from marts.dim_tracks where album_id = %(id)s))
            -- Said so that the planner expects half of them, not a handful that it would sort.
            and coalesce(album_id = %(id)s, false)
{%- elif entity == 'recording' %}
        select of_it.*
        from (
            {% include 'tracks_of_recording.sql' %}
        ) as track
        cross join lateral (
            select local_date, local_hour, is_counted, ms_played, played_at
            from marts.fct_plays
            where content_id = track.track_id and user_id = %(user_id)s and kind = 'track'
            offset 0
        ) as of_it
{%- else %}
        select local_date, local_hour, is_counted, ms_played, played_at
        from marts.fct_plays
        where
            user_id = %(user_id)s
            and {{ "content_id = %(id)s and kind = 'track'" if entity == 'track' else 'artist_id = %(id)s' }}
{%- endif %}
