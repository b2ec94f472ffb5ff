-- The plays of one track, artist or album, by an index; those of an album or a recording are those of its tracks.
{%- if entity == 'album' %}
        select on_it.*
        from marts.dim_tracks as track
        cross join lateral (
            select local_date, local_hour, is_counted, ms_played, played_at
            from marts.fct_plays
            where content_id = track.track_id and user_id = %(user_id)s and album_id = %(id)s and kind = 'track'
            offset 0
        ) as on_it
        where track.album_id = %(id)s
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
        where {{ 'content_id' if entity == 'track' else 'artist_id' }} = %(id)s and user_id = %(user_id)s and kind = 'track'
{%- endif %}
