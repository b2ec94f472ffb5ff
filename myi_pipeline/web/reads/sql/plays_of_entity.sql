-- The plays of one track, artist or album, by an index; those of an album or a recording are those of its tracks. Only a
-- track has an artist, so the kind is asked for where the id may be an episode's.
        select local_date, local_hour, is_counted, ms_played, played_at
        from marts.fct_plays
        where
            user_id = %(user_id)s
{%- if entity == 'track' %}
            and content_id = %(id)s
            and kind = 'track'
{%- elif entity == 'artist' %}
            and artist_id = %(id)s
{%- else %}
            -- As an array: one pass over the table for all tracks, in its own order, instead of one for each.
            and content_id = any(array(
{%- if entity == 'album' %}
                select track_id from marts.dim_tracks where album_id = %(id)s
{%- else %}
                {% include 'tracks_of_recording.sql' %}
{%- endif %}
            ))
{%- if entity == 'album' %}
            -- Said so that the planner expects half of them, not a handful that it would sort.
            and coalesce(album_id = %(id)s, false)
{%- endif %}
{%- endif %}
