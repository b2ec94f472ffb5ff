-- The plays of one track, artist or album, by an index; an album's are those of its tracks.
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
{%- else %}
        select local_date, local_hour, is_counted, ms_played, played_at
        from marts.fct_plays
        where {{ 'content_id' if entity == 'track' else 'artist_id' }} = %(id)s and user_id = %(user_id)s and kind = 'track'
{%- endif %}
